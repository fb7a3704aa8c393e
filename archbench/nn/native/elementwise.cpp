// GELU by its tanh approximation and the loss of token predictions on a CPU, in one pass over memory each, in fp32.
//
// Every thread has elements or rows of its own and sums run in a fixed order: the bits do not depend on the threads.

#include <cstring>

#include "vectors.h"

namespace {

// The sigmoid of 2u with u = sqrt(2 / pi) (x + 0.044715 x^3): gelu(x) = x sigmoid(2u), the tanh approximation.
inline v8 gate(v8 x) {
    const v8 u = x * (0.797884560802865356f + 0.0356774081363001f * x * x);
    return 1.0f / (1.0f + exponential(-2.0f * u));
}

inline v8 gelu(v8 x) { return x * gate(x); }

inline v8 gelu_slope(v8 x) {
    const v8 s = gate(x);
    return s + x * s * (1.0f - s) * (1.595769121605730711f + 0.2140644488178006f * x * x);
}

}  // namespace

extern "C" {

// `count` is a multiple of eight.
void archbench_gelu(long count, long threads, const float* x, float* out) {
#pragma omp parallel for schedule(static) num_threads((int)threads) if (threads > 1)
    for (long i = 0; i < count; i += 8) store(out + i, gelu(load(x + i)));
}

void archbench_gelu_backward(long count, long threads, const float* x, const float* above, float* out) {
#pragma omp parallel for schedule(static) num_threads((int)threads) if (threads > 1)
    for (long i = 0; i < count; i += 8) store(out + i, load(above + i) * gelu_slope(load(x + i)));
}

// Cross entropy of each row of `logits` [rows, classes] in nats, and its gradient; 0 where the target is `ignored`.
// Returns the number of targets that are no class; if there are any, nothing is written.
long archbench_cross_entropy(
    long rows, long classes, long threads, const float* logits, const long* targets, long ignored, float* nats,
    float* gradient
) {
    long unknown = 0;
    for (long r = 0; r < rows; ++r) unknown += targets[r] != ignored && (targets[r] < 0 || targets[r] >= classes);
    if (unknown) return unknown;
#pragma omp parallel for schedule(static) num_threads((int)threads) if (threads > 1)
    for (long r = 0; r < rows; ++r) {
        const float* row = logits + r * classes;
        float* out = gradient + r * classes;
        if (targets[r] == ignored) {
            nats[r] = 0.0f;
            std::memset(out, 0, classes * sizeof(float));
            continue;
        }
        const long whole = classes & ~7L;
        float rest[8];
        for (int lane = 0; lane < 8; ++lane) rest[lane] = whole + lane < classes ? row[whole + lane] : -1e30f;
        v8 top = load(rest);
        for (long j = 0; j < whole; j += 8) {
            const v8 x = load(row + j);
            top = x > top ? x : top;
        }
        const float most = largest(top);
        v8 total = {};
        for (long j = 0; j < whole; j += 8) {
            const v8 weight = exponential(load(row + j) - most);
            store(out + j, weight);
            total += weight;
        }
        const v8 last = exponential(load(rest) - most);
        store(rest, last);
        float norm = sum(total);
        for (long j = whole; j < classes; ++j) norm += rest[j - whole];
        const float inverse = 1.0f / norm;
        for (long j = 0; j < whole; j += 8) store(out + j, load(out + j) * inverse);
        for (long j = whole; j < classes; ++j) out[j] = rest[j - whole] * inverse;
        nats[r] = most + __builtin_logf(norm) - row[targets[r]];
        out[targets[r]] -= 1.0f;
    }
    return 0;
}
}
