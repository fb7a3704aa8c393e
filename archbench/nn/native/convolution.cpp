// Causal depthwise convolution on a CPU in fp32: each channel is mixed over its own last positions.
//
// Every thread has rows of its own, and the weights' gradients are returned row by row for the caller to add up in a
// fixed order: the bits do not depend on the threads. Channels lie together in memory, so that they fill the vectors.

#include <cstring>

extern "C" {

// x and out [rows, length, channels]; weight [width, channels], of which weight[j] belongs to the position j before;
// bias [channels] or null.
void archbench_convolution(
    const long* sizes, const float* x, const float* weight, const float* bias, float* out
) {
    const long rows = sizes[0], length = sizes[1], channels = sizes[2], width = sizes[3], threads = sizes[4];
#pragma omp parallel for schedule(static) num_threads((int)threads) if (threads > 1)
    for (long r = 0; r < rows; ++r) {
        for (long t = 0; t < length; ++t) {
            float* to = out + (r * length + t) * channels;
            if (bias) std::memcpy(to, bias, channels * sizeof(float));
            else std::memset(to, 0, channels * sizeof(float));
            for (long j = 0; j < width && j <= t; ++j) {
                const float* from = x + (r * length + t - j) * channels;
                const float* by = weight + j * channels;
                for (long c = 0; c < channels; ++c) to[c] += by[c] * from[c];
            }
        }
    }
}

// above and grad_x [rows, length, channels]; grad_weight [rows, width, channels].
void archbench_convolution_backward(
    const long* sizes, const float* x, const float* weight, const float* above, float* grad_x, float* grad_weight
) {
    const long rows = sizes[0], length = sizes[1], channels = sizes[2], width = sizes[3], threads = sizes[4];
#pragma omp parallel for schedule(static) num_threads((int)threads) if (threads > 1)
    for (long r = 0; r < rows; ++r) {
        float* into = grad_weight + r * width * channels;
        std::memset(into, 0, width * channels * sizeof(float));
        for (long t = 0; t < length; ++t) {
            const long at = (r * length + t) * channels;
            float* to = grad_x + at;
            const float* here = x + at;
            std::memset(to, 0, channels * sizeof(float));
            for (long j = 0; j < width && t + j < length; ++j) {
                const float* from = above + at + j * channels;
                const float* by = weight + j * channels;
                float* sum = into + j * channels;
                for (long c = 0; c < channels; ++c) {
                    to[c] += by[c] * from[c];
                    sum[c] += here[c] * from[c];
                }
            }
        }
    }
}
}
