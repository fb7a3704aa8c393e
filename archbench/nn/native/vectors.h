// Eight floats at once, in the vector extension of GCC and Clang: any processor, its widest instructions.

#pragma once

typedef float v8 __attribute__((vector_size(32)));
typedef float v8u __attribute__((vector_size(32), aligned(4), may_alias));
typedef int i8 __attribute__((vector_size(32)));

namespace {

inline v8 load(const float* at) { return *(const v8u*)at; }
inline void store(float* at, v8 value) { *(v8u*)at = value; }
inline long rounded(long n) { return (n + 7) & ~7L; }

inline v8 exponential(v8 x) {
    // exp(x) = 2^n exp(r), |r| <= ln 2 / 2: polynomial of the Cephes library, relative error below 2e-7.
    const v8 lowest = v8{} - 87.0f, highest = v8{} + 88.0f;
    x = x < lowest ? lowest : x;
    x = x > highest ? highest : x;
    const v8 shifted = x * 1.44269504088896341f + 12582912.0f;
    const v8 n = shifted - 12582912.0f;
    const v8 r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    v8 p = v8{} + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    const i8 exponent = ((i8)shifted - 0x4B400000 + 127) << 23;
    return p * (v8)exponent;
}

inline float sum(v8 x) { return ((x[0] + x[4]) + (x[1] + x[5])) + ((x[2] + x[6]) + (x[3] + x[7])); }

inline float largest(v8 x) {
    float m = x[0];
    for (int lane = 1; lane < 8; ++lane) m = x[lane] > m ? x[lane] : m;
    return m;
}

}  // namespace
