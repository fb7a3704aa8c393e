// Softmax attention of small heads on a CPU, forward and backward, in fp32.
//
// One head of one row at a time: its keys and values fit into the first caches, and eight queries at once keep their
// scores there too. Nothing of the size of the score matrix reaches memory; the backward pass computes scores again.
//
// With positions (Dai et al. 2019, section 3.3) the score of query i and key j is
//     scale * ((q_i + u) . k_j + (q_i + v) . p_c),   c = j + num_queries - i,
// where row c of the position keys belongs to distance num_keys - c.
//
// Sums run in a fixed order, and every thread has heads of its own: the bits do not depend on the number of threads.

#include <cstdlib>
#include <cstring>

#include "vectors.h"

namespace {

constexpr int BLOCK = 8;    // queries at once
constexpr int MARGIN = 16;  // zeros on both sides of a row of scores, for reading it along diagonals
constexpr float HIDDEN = -1e30f;

inline v8 weight_of(v8 score, float norm) {
    // What is hidden would come out of the exponential as a tiny number; what is not a number stays none.
    return score < v8{} + 0.5f * HIDDEN ? v8{} : exponential(score - norm);
}

// out[r][j..] = left[r] . right[:, j..] for R rows and C vectors of columns; `right` lies as [depth, columns].
template <int R, int C>
inline void products_tile(
    const float* left, long left_ld, const float* right, long right_ld, long depth, float* out, long out_ld
) {
    v8 total[R][C] = {};
    for (long e = 0; e < depth; ++e) {
        v8 columns[C];
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) columns[c] = load(right + e * right_ld + 8 * c);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
            for (int c = 0; c < C; ++c) total[r][c] += left[r * left_ld + e] * columns[c];
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) store(out + r * out_ld + 8 * c, total[r][c]);
}

// The products of BLOCK rows with `count` columns, a multiple of eight.
inline void products(
    const float* left, long left_ld, const float* right, long right_ld, long depth, long count, float* out, long out_ld
) {
    long j = 0;
    for (; j + 32 <= count; j += 32)
        for (int r = 0; r < BLOCK; r += 4)
            products_tile<4, 4>(left + r * left_ld, left_ld, right + j, right_ld, depth, out + r * out_ld + j, out_ld);
    for (; j < count; j += 8)
        products_tile<BLOCK, 1>(left, left_ld, right + j, right_ld, depth, out + j, out_ld);
}

// out[r] = sum over j of weights[r][j] * rows[j], for BLOCK rows r; `width` is a multiple of eight.
inline void mix(
    const float* weights, long weights_ld, const float* rows, long rows_ld, long count, long width, float* out,
    long out_ld
) {
    long e = 0;
    for (; e + 32 <= width; e += 32)
        for (int r = 0; r < BLOCK; r += 4)
            products_tile<4, 4>(
                weights + r * weights_ld, weights_ld, rows + e, rows_ld, count, out + r * out_ld + e, out_ld
            );
    for (; e + 16 <= width; e += 16)
        products_tile<BLOCK, 2>(weights, weights_ld, rows + e, rows_ld, count, out + e, out_ld);
    for (; e < width; e += 8) products_tile<BLOCK, 1>(weights, weights_ld, rows + e, rows_ld, count, out + e, out_ld);
}

// out[j] += sum over the BLOCK rows r of weights[r][j] * rows[r], for J rows of V vectors of `out`.
template <int J, int V>
inline void spread_tile(const float* weights, long weights_ld, const float* rows, long rows_ld, float* out, long ld) {
    v8 total[J][V];
#pragma GCC unroll 8
    for (int j = 0; j < J; ++j)
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) total[j][v] = load(out + j * ld + 8 * v);
#pragma GCC unroll 8
    for (int r = 0; r < BLOCK; ++r) {
        v8 row[V];
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) row[v] = load(rows + r * rows_ld + 8 * v);
#pragma GCC unroll 8
        for (int j = 0; j < J; ++j)
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) total[j][v] += weights[r * weights_ld + j] * row[v];
    }
#pragma GCC unroll 8
    for (int j = 0; j < J; ++j)
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) store(out + j * ld + 8 * v, total[j][v]);
}

// `count` is a multiple of eight.
inline void spread(
    const float* weights, long weights_ld, const float* rows, long rows_ld, long count, long width, float* out, long ld
) {
    for (long j = 0; j < count; j += 8) {
        long e = 0;
        for (; e + 32 <= width; e += 32)
            for (int k = 0; k < 8; k += 4)
                spread_tile<4, 4>(weights + j + k, weights_ld, rows + e, rows_ld, out + (j + k) * ld + e, ld);
        for (; e + 16 <= width; e += 16)
            spread_tile<8, 2>(weights + j, weights_ld, rows + e, rows_ld, out + j * ld + e, ld);
        for (; e < width; e += 8)
            spread_tile<8, 1>(weights + j, weights_ld, rows + e, rows_ld, out + j * ld + e, ld);
    }
}

struct Strided {  // a tensor [rows, heads, positions, width] whose last axis is contiguous
    float* data;
    long row, head, position;
    float* at(long b, long h, long t) const { return data + b * row + h * head + t * position; }
};

struct Shape {
    long rows, heads, num_queries, num_keys, width;
    int causal;
    float scale;
    long first_keys(long block) const {  // keys that some query of the block sees
        const long seen = num_keys - num_queries + block + BLOCK;
        return causal && seen < num_keys ? seen : num_keys;
    }
    long keys_of(long query) const { return causal ? num_keys - num_queries + query + 1 : num_keys; }
};

struct Positions {  // null pointers: attention without positions
    const float *content_bias, *position_bias;  // [heads, width]
    const float* keys;                          // [num_keys + 1, heads, width]
};

// Copies of what one head needs, padded with zeros so that all loops run over whole vectors.
struct Scratch {
    long width, keys_ld, places_ld, scores_ld;
    float *queries, *position_queries;              // [BLOCK, width], scaled
    float *keys, *keys_t, *values, *values_t;       // [keys, width], [width, keys_ld], ...
    float *places, *places_t;                       // [num_keys + 1, width], [width, places_ld]
    float *weights, *gradients, *by_place;          // [BLOCK, scores_ld], the first two with margins
    float *grad_output, *block;                     // [BLOCK, width]
    float *grad_keys, *grad_values, *grad_places;   // [keys, width], ...
    float* memory;

    Scratch(const Shape& s, bool positions) {
        width = rounded(s.width);
        keys_ld = rounded(s.num_keys);
        places_ld = rounded(s.num_keys + 1) + 2 * MARGIN;
        scores_ld = places_ld + 2 * MARGIN;
        const long key_floats = keys_ld * width, place_floats = positions ? places_ld * width : 0;
        const long total = 4 * BLOCK * width + 6 * key_floats + 3 * place_floats + 3 * BLOCK * scores_ld + 64;
        memory = (float*)std::calloc(total, sizeof(float));
        float* next = memory;
        auto take = [&](long floats) { float* taken = next; next += floats; return taken; };
        queries = take(BLOCK * width); position_queries = take(BLOCK * width);
        grad_output = take(BLOCK * width); block = take(BLOCK * width);
        keys = take(key_floats); keys_t = take(key_floats); values = take(key_floats); values_t = take(key_floats);
        grad_keys = take(key_floats); grad_values = take(key_floats);
        places = take(place_floats) + MARGIN * width; places_t = take(place_floats) + MARGIN;
        grad_places = take(place_floats) + MARGIN * width;
        weights = take(BLOCK * scores_ld) + MARGIN; gradients = take(BLOCK * scores_ld) + MARGIN;
        by_place = take(BLOCK * scores_ld) + MARGIN;
    }
    ~Scratch() { std::free(memory); }
};

void pack(const Strided& from, long b, long h, long count, long width, long padded, long ld, float* plain, float* turned) {
    for (long t = 0; t < count; ++t) {
        const float* row = from.at(b, h, t);
        if (plain) std::memcpy(plain + t * padded, row, width * sizeof(float));
        if (turned) for (long e = 0; e < width; ++e) turned[e * ld + t] = row[e];
    }
}

void pack_places(const Shape& s, const Positions& p, long h, Scratch& w) {
    for (long c = 0; c <= s.num_keys; ++c) {
        const float* row = p.keys + (c * s.heads + h) * s.width;
        std::memcpy(w.places + c * w.width, row, s.width * sizeof(float));
        for (long e = 0; e < s.width; ++e) w.places_t[e * w.places_ld + c] = row[e];
    }
}

// Scaled scores of the queries from `first` on, hidden ones far below all others, into `weights`.
void scores(const Shape& s, const Positions& p, const Strided& q, long b, long h, long first, long count, Scratch& w) {
    for (int r = 0; r < BLOCK; ++r) {
        float* content = w.queries + r * w.width;
        float* position = w.position_queries + r * w.width;
        if (first + r >= s.num_queries) {
            std::memset(content, 0, w.width * sizeof(float));
            std::memset(position, 0, w.width * sizeof(float));
            continue;
        }
        const float* query = q.at(b, h, first + r);
        for (long e = 0; e < s.width; ++e) {
            content[e] = s.scale * (query[e] + (p.keys ? p.content_bias[h * s.width + e] : 0.0f));
            if (p.keys) position[e] = s.scale * (query[e] + p.position_bias[h * s.width + e]);
        }
    }
    products(w.queries, w.width, w.keys_t, w.keys_ld, s.width, count, w.weights, w.scores_ld);
    if (p.keys) {
        // Query first + r has key j in column j + num_queries - first - r of the places.
        const float* nearest = w.places_t + s.num_queries - first - (BLOCK - 1);
        products(w.position_queries, w.width, nearest, w.places_ld, s.width, count + 8, w.by_place, w.scores_ld);
        for (int r = 0; r < BLOCK; ++r)
            for (long j = 0; j < count; j += 8) {
                float* at = w.weights + r * w.scores_ld + j;
                store(at, load(at) + load(w.by_place + r * w.scores_ld + j + BLOCK - 1 - r));
            }
    }
    for (int r = 0; r < BLOCK; ++r) {
        const long seen = first + r < s.num_queries ? s.keys_of(first + r) : s.num_keys;
        for (long j = seen; j < count; ++j) w.weights[r * w.scores_ld + j] = HIDDEN;
    }
}

void forward_head(
    const Shape& s, const Positions& p, const Strided& q, const Strided& k, const Strided& v, const Strided& out,
    float* log_norm, long b, long h, Scratch& w
) {
    pack(k, b, h, s.num_keys, s.width, w.width, w.keys_ld, nullptr, w.keys_t);
    pack(v, b, h, s.num_keys, s.width, w.width, w.keys_ld, w.values, nullptr);
    for (long first = 0; first < s.num_queries; first += BLOCK) {
        const long count = rounded(s.first_keys(first));
        scores(s, p, q, b, h, first, count, w);
        float inverse[BLOCK];
        for (int r = 0; r < BLOCK; ++r) {
            float* row = w.weights + r * w.scores_ld;
            v8 top = load(row);
            for (long j = 8; j < count; j += 8) {
                const v8 x = load(row + j);
                top = x > top ? x : top;
            }
            const float most = largest(top);
            v8 total = {};
            for (long j = 0; j < count; j += 8) {
                const v8 weight = weight_of(load(row + j), most);
                store(row + j, weight);
                total += weight;
            }
            const float norm = sum(total);
            inverse[r] = 1.0f / norm;
            if (first + r < s.num_queries)
                log_norm[(b * s.heads + h) * s.num_queries + first + r] = most + __builtin_logf(norm);
        }
        mix(w.weights, w.scores_ld, w.values, w.width, count, w.width, w.block, w.width);
        for (int r = 0; r < BLOCK && first + r < s.num_queries; ++r) {
            float* at = out.at(b, h, first + r);
            for (long e = 0; e < s.width; ++e) at[e] = w.block[r * w.width + e] * inverse[r];
        }
    }
}

struct Gradients {
    Strided queries, keys, values;
    Strided position_queries;  // of the position term alone; with positions only
    float* places;             // [num_keys + 1, heads, width]
};

void backward_head(
    const Shape& s, const Positions& p, const Strided& q, const Strided& k, const Strided& v, const Strided& out,
    const float* log_norm, const Strided& grad_out, const Gradients& grad, long b, long h, Scratch& w
) {
    pack(k, b, h, s.num_keys, s.width, w.width, w.keys_ld, w.keys, w.keys_t);
    pack(v, b, h, s.num_keys, s.width, w.width, w.keys_ld, nullptr, w.values_t);
    std::memset(w.grad_keys, 0, w.keys_ld * w.width * sizeof(float));
    std::memset(w.grad_values, 0, w.keys_ld * w.width * sizeof(float));
    for (long first = 0; first < s.num_queries; first += BLOCK) {
        const long count = rounded(s.first_keys(first));
        scores(s, p, q, b, h, first, count, w);
        float inner[BLOCK];
        for (int r = 0; r < BLOCK; ++r) {
            float* copied = w.grad_output + r * w.width;
            inner[r] = 0.0f;
            if (first + r >= s.num_queries) {
                std::memset(copied, 0, w.width * sizeof(float));
                continue;
            }
            const float *above = grad_out.at(b, h, first + r), *result = out.at(b, h, first + r);
            for (long e = 0; e < s.width; ++e) {
                copied[e] = above[e];
                inner[r] += above[e] * result[e];
            }
        }
        products(w.grad_output, w.width, w.values_t, w.keys_ld, s.width, count, w.gradients, w.scores_ld);
        for (int r = 0; r < BLOCK; ++r) {
            float *weights = w.weights + r * w.scores_ld, *gradients = w.gradients + r * w.scores_ld;
            const bool there = first + r < s.num_queries;
            const float norm = there ? log_norm[(b * s.heads + h) * s.num_queries + first + r] : 0.0f;
            for (long j = 0; j < count; j += 8) {
                const v8 weight = weight_of(load(weights + j), norm);
                store(weights + j, weight);
                store(gradients + j, weight * (load(gradients + j) - inner[r]));
            }
            // Diagonal readers look a little further.
            store(gradients + count, v8{});
            if (!there) std::memset(weights, 0, count * sizeof(float));
        }
        spread(w.weights, w.scores_ld, w.grad_output, w.width, count, w.width, w.grad_values, w.width);
        spread(w.gradients, w.scores_ld, w.queries, w.width, count, w.width, w.grad_keys, w.width);
        mix(w.gradients, w.scores_ld, w.keys, w.width, count, w.width, w.block, w.width);
        for (int r = 0; r < BLOCK && first + r < s.num_queries; ++r) {
            float* at = grad.queries.at(b, h, first + r);
            for (long e = 0; e < s.width; ++e) at[e] = s.scale * w.block[r * w.width + e];
        }
        if (!p.keys) continue;
        // Row r of the block reads its gradients one further left than row r + 1: along a diagonal.
        const float* diagonal = w.gradients - (BLOCK - 1);
        const long start = (s.num_queries - first - (BLOCK - 1)) * w.width;
        spread(
            diagonal, w.scores_ld + 1, w.position_queries, w.width, count + 8, w.width, w.grad_places + start, w.width
        );
        mix(diagonal, w.scores_ld + 1, w.places + start, w.width, count + 8, w.width, w.block, w.width);
        for (int r = 0; r < BLOCK && first + r < s.num_queries; ++r) {
            float* at = grad.position_queries.at(b, h, first + r);
            for (long e = 0; e < s.width; ++e) at[e] = s.scale * w.block[r * w.width + e];
        }
    }
    for (long t = 0; t < s.num_keys; ++t) {
        std::memcpy(grad.keys.at(b, h, t), w.grad_keys + t * w.width, s.width * sizeof(float));
        std::memcpy(grad.values.at(b, h, t), w.grad_values + t * w.width, s.width * sizeof(float));
    }
}

Strided strided(const float* data, const long* strides) {
    return {const_cast<float*>(data), strides[0], strides[1], strides[2]};
}

Strided contiguous(const float* data, long positions, const Shape& s) {  // [rows, positions, heads, width]
    return {const_cast<float*>(data), positions * s.heads * s.width, s.width, s.heads * s.width};
}

}  // namespace

extern "C" {

// `sizes`: rows, heads, num_queries, num_keys, width, causal, threads. Strides of [row, head, position], in floats.
// `out` is [rows, num_queries, heads, width]; `log_norm` [rows, heads, num_queries].
void archbench_attention(
    const long* sizes, float scale, const float* q, const long* q_strides, const float* k, const long* k_strides,
    const float* v, const long* v_strides, const float* content_bias, const float* position_bias, const float* places,
    float* out, float* log_norm
) {
    const Shape s = {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], (int)sizes[5], scale};
    const Positions p = {content_bias, position_bias, places};
    const Strided queries = strided(q, q_strides), keys = strided(k, k_strides), values = strided(v, v_strides);
    const Strided result = contiguous(out, s.num_queries, s);
#pragma omp parallel for schedule(static) num_threads((int)sizes[6]) if (sizes[6] > 1)
    for (long h = 0; h < s.heads; ++h) {
        Scratch w(s, places != nullptr);
        if (places) pack_places(s, p, h, w);
        for (long b = 0; b < s.rows; ++b) forward_head(s, p, queries, keys, values, result, log_norm, b, h, w);
    }
}

// The gradients are laid out like `out`, but for those of the places, which are laid out like the places.
void archbench_attention_backward(
    const long* sizes, float scale, const float* q, const long* q_strides, const float* k, const long* k_strides,
    const float* v, const long* v_strides, const float* content_bias, const float* position_bias, const float* places,
    const float* out, const float* log_norm, const float* grad_out, const long* grad_strides, float* grad_q,
    float* grad_k, float* grad_v, float* grad_position_q, float* grad_places
) {
    const Shape s = {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], (int)sizes[5], scale};
    const Positions p = {content_bias, position_bias, places};
    const Strided queries = strided(q, q_strides), keys = strided(k, k_strides), values = strided(v, v_strides);
    const Strided result = contiguous(out, s.num_queries, s), above = strided(grad_out, grad_strides);
    const Gradients grad = {
        contiguous(grad_q, s.num_queries, s), contiguous(grad_k, s.num_keys, s), contiguous(grad_v, s.num_keys, s),
        contiguous(grad_position_q, s.num_queries, s), grad_places
    };
#pragma omp parallel for schedule(static) num_threads((int)sizes[6]) if (sizes[6] > 1)
    for (long h = 0; h < s.heads; ++h) {
        Scratch w(s, places != nullptr);
        if (places) pack_places(s, p, h, w);
        for (long b = 0; b < s.rows; ++b)
            backward_head(s, p, queries, keys, values, result, log_norm, above, grad, b, h, w);
        for (long c = 0; places && c <= s.num_keys; ++c)
            std::memcpy(
                grad_places + (c * s.heads + h) * s.width, w.grad_places + c * w.width, s.width * sizeof(float)
            );
    }
}
}
