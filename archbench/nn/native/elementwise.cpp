// GELU and the loss of token predictions on a CPU, in one pass over memory each, in fp32.
//
// Every thread has elements or rows of its own and sums run in a fixed order: the bits do not depend on the threads.

#include <cstring>

#include "vectors.h"

namespace {

inline v8 absolute(v8 x) { return (v8)((i8)x & 0x7FFFFFFF); }

// The standard normal distribution function at x, and its density.
struct Normal {
    v8 below, density;
};

inline Normal normal(v8 x) {
    // Abramowitz and Stegun 1964, 26.2.17 for z = |x|: absolute error below 7.5e-8. Not 1 - small for negative x.
    const v8 z = absolute(x);
    const v8 t = 1.0f / (1.0f + 0.2316419f * z);
    const v8 density = 0.398942280401432678f * exponential(-0.5f * x * x);
    v8 p = v8{} + 1.330274429f;
    p = p * t - 1.821255978f;
    p = p * t + 1.781477937f;
    p = p * t - 0.356563782f;
    p = p * t + 0.319381530f;
    const v8 above = density * p * t;
    return {x < v8{} ? above : 1.0f - above, density};
}

// The sigmoid of 2u with u = sqrt(2 / pi) (x + 0.044715 x^3): gelu(x) = x sigmoid(2u), the tanh approximation.
inline v8 gate(v8 x) {
    const v8 u = x * (0.797884560802865356f + 0.0356774081363001f * x * x);
    return 1.0f / (1.0f + exponential(-2.0f * u));
}

inline v8 gelu_exact(v8 x) { return x * normal(x).below; }
inline v8 gelu_exact_slope(v8 x) {
    const Normal n = normal(x);
    return n.below + x * n.density;
}
inline v8 gelu_tanh(v8 x) { return x * gate(x); }
inline v8 gelu_tanh_slope(v8 x) {
    const v8 s = gate(x);
    const v8 slope = 1.595769121605730711f + 0.2140644488178006f * x * x;
    return s + x * s * (1.0f - s) * slope;
}

template <class F>
inline void over(long count, long threads, const float* x, const float* above, float* out, F f) {
    const long whole = count & ~7L;
#pragma omp parallel for schedule(static) num_threads((int)threads) if (threads > 1)
    for (long i = 0; i < whole; i += 8) store(out + i, above ? load(above + i) * f(load(x + i)) : f(load(x + i)));
    if (whole == count) return;
    float rest[8] = {}, scale[8] = {};
    std::memcpy(rest, x + whole, (count - whole) * sizeof(float));
    if (above) std::memcpy(scale, above + whole, (count - whole) * sizeof(float));
    store(rest, above ? load(scale) * f(load(rest)) : f(load(rest)));
    std::memcpy(out + whole, rest, (count - whole) * sizeof(float));
}

}  // namespace

extern "C" {

// `tanh` 0: x times the normal distribution function; 1: its tanh approximation.
void archbench_gelu(long count, long threads, int tanh, const float* x, float* out) {
    if (tanh) over(count, threads, x, nullptr, out, gelu_tanh);
    else over(count, threads, x, nullptr, out, gelu_exact);
}

void archbench_gelu_backward(long count, long threads, int tanh, const float* x, const float* grad_out, float* out) {
    if (tanh) over(count, threads, x, grad_out, out, gelu_tanh_slope);
    else over(count, threads, x, grad_out, out, gelu_exact_slope);
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
