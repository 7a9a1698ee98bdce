// The integer arithmetic, in the part of C99 that is C++ as well: the engine's scalar kernels include it, and the C
// export carries it along. docs/integer.md has the equations; other kernels must give the same integers.
//
// Codes are bytes, value = scale * (code - zero); they lie as [row][column][channel]. Sums have 32 bits: the program
// that is made of a model makes sure that none overflows.
#pragma once

#include <stdint.h>

// section: base
typedef struct {
  int32_t multiplier;
  int32_t shift;  // 1..62
} sc_scale;

// sum * multiplier / 2^shift to the nearest whole number, halves up. The shift of a negative number is written without
// one, which C leaves to the compiler.
static inline int64_t sc_rescale(int32_t sum, sc_scale by) {
  const int64_t product = (int64_t)sum * by.multiplier + ((int64_t)1 << (by.shift - 1));
  return product >= 0 ? product >> by.shift : ~(~product >> by.shift);
}

static inline uint8_t sc_clamp(int64_t code, int32_t low, int32_t high) {
  return (uint8_t)(code < low ? low : code > high ? high : code);
}

// The code of a number; what is no number gets 0.
static inline uint8_t sc_quantize(float value, float scale, int32_t zero) {
  const double code = (double)value / (double)scale + (double)zero + 0.5;
  return code >= 255.0 ? 255 : code >= 1.0 ? (uint8_t)code : 0;
}

static inline float sc_value(uint8_t code, float scale, int32_t zero) { return scale * (float)((int32_t)code - zero); }

// section: conv
typedef struct {
  int32_t bias;  // in sums
  sc_scale scale;
} sc_channel;

// A convolution, or a linear layer as one whose kernel is the whole input.
typedef struct {
  int32_t height, width, channels;
  int32_t out_height, out_width, out_channels;
  int32_t kernel_height, kernel_width;
  int32_t stride_height, stride_width, pad_height, pad_width, dilation_height, dilation_width;
  int32_t groups;
  int32_t in_zero, out_zero, low, high;  // low and high: smallest and largest code of the output
} sc_conv;

// The sum of one window: bias + sum of (code - zero) * weight over the places inside the image. `input` is at the first
// channel of the group; weights [kernel_height][kernel_width][channels / groups].
static inline int32_t sc_window(const sc_conv* c, const uint8_t* input, const int8_t* weights, int32_t bias,
                                int32_t top, int32_t left) {
  const int32_t depth = c->channels / c->groups;
  int32_t sum = bias, i, j, k;
  for (i = 0; i < c->kernel_height; i++) {
    const int32_t y = top + i * c->dilation_height;
    if (y < 0 || y >= c->height) continue;
    for (j = 0; j < c->kernel_width; j++) {
      const int32_t x = left + j * c->dilation_width;
      const uint8_t* codes = input + ((int64_t)y * c->width + x) * c->channels;
      const int8_t* row = weights + (i * c->kernel_width + j) * depth;
      if (x < 0 || x >= c->width) continue;
      for (k = 0; k < depth; k++) sum += ((int32_t)codes[k] - c->in_zero) * row[k];
    }
  }
  return sum;
}

// Output channel `o` at all positions.
static inline void sc_conv_channel(const sc_conv* c, const uint8_t* input, const int8_t* weights, sc_channel channel,
                                   int32_t o, uint8_t* output) {
  const int32_t first = o / (c->out_channels / c->groups) * (c->channels / c->groups);
  int32_t y, x;
  for (y = 0; y < c->out_height; y++)
    for (x = 0; x < c->out_width; x++) {
      const int32_t sum = sc_window(c, input + first, weights, channel.bias, y * c->stride_height - c->pad_height,
                                    x * c->stride_width - c->pad_width);
      output[((int64_t)y * c->out_width + x) * c->out_channels + o] =
          sc_clamp(sc_rescale(sum, channel.scale) + c->out_zero, c->low, c->high);
    }
}

// section: packed
// The next `count` codes of `bits` bits, two's complement, least significant bit first. A byte follows the last one.
static inline void sc_unpack(const uint8_t* bytes, uint32_t* position, int32_t bits, int32_t count, int8_t* codes) {
  const int32_t sign = bits ? 1 << (bits - 1) : 0, mask = (1 << bits) - 1;
  uint32_t at = *position;
  int32_t i;
  for (i = 0; i < count; i++, at += (uint32_t)bits) {
    const int32_t word = bytes[at >> 3] | bytes[(at >> 3) + 1] << 8;
    codes[i] = (int8_t)(((word >> (at & 7) & mask) ^ sign) - sign);
  }
  *position = at;
}

// section: pool
typedef struct {
  int32_t height, width, channels, out_height, out_width;
  int32_t kernel_height, kernel_width, stride_height, stride_width, pad_height, pad_width;
  int32_t in_zero, out_zero, low, high;
  int32_t by_count;  // an average's divisor is the number of places inside the image: scales[that - 1]; else scales[0]
} sc_pool;

static inline void sc_pool_bounds(int32_t first, int32_t count, int32_t size, int32_t* from, int32_t* to) {
  *from = first < 0 ? 0 : first;
  *to = first + count > size ? size : first + count;
}

// section: largest
static inline void sc_max_pool(const sc_pool* p, const uint8_t* input, uint8_t* output) {
  int32_t oy, ox, c, y, x;
  for (oy = 0; oy < p->out_height; oy++)
    for (ox = 0; ox < p->out_width; ox++) {
      int32_t top, bottom, left, right;
      sc_pool_bounds(oy * p->stride_height - p->pad_height, p->kernel_height, p->height, &top, &bottom);
      sc_pool_bounds(ox * p->stride_width - p->pad_width, p->kernel_width, p->width, &left, &right);
      for (c = 0; c < p->channels; c++) {
        uint8_t most = 0;
        for (y = top; y < bottom; y++)
          for (x = left; x < right; x++) {
            const uint8_t code = input[((int64_t)y * p->width + x) * p->channels + c];
            if (code > most) most = code;
          }
        *output++ = most;
      }
    }
}

// section: mean
static inline void sc_average_pool(const sc_pool* p, const sc_scale* scales, const uint8_t* input, uint8_t* output) {
  int32_t oy, ox, c, y, x;
  for (oy = 0; oy < p->out_height; oy++)
    for (ox = 0; ox < p->out_width; ox++) {
      int32_t top, bottom, left, right, count;
      sc_pool_bounds(oy * p->stride_height - p->pad_height, p->kernel_height, p->height, &top, &bottom);
      sc_pool_bounds(ox * p->stride_width - p->pad_width, p->kernel_width, p->width, &left, &right);
      count = (bottom - top) * (right - left);
      for (c = 0; c < p->channels; c++) {
        int32_t sum = 0;
        for (y = top; y < bottom; y++)
          for (x = left; x < right; x++)
            sum += (int32_t)input[((int64_t)y * p->width + x) * p->channels + c] - p->in_zero;
        *output++ = sc_clamp(sc_rescale(sum, scales[p->by_count ? count - 1 : 0]) + p->out_zero, p->low, p->high);
      }
    }
}

// section: binary
// Two tensors; one of a single channel or position has steps of 0 there.
typedef struct {
  int32_t height, width, channels;
  int32_t step_a[3], step_b[3];  // from a row, a column, a channel to the next
  int32_t zero_a, zero_b, out_zero, low, high;
  int32_t factor_a, factor_b;  // of a sum: below 2^22
  sc_scale scale;              // of a sum: multiplier 1
} sc_binary;

// section: sum
static inline void sc_add(const sc_binary* g, const uint8_t* a, const uint8_t* b, uint8_t* output) {
  int32_t y, x, c;
  for (y = 0; y < g->height; y++)
    for (x = 0; x < g->width; x++)
      for (c = 0; c < g->channels; c++) {
        const int32_t first = (int32_t)a[y * g->step_a[0] + x * g->step_a[1] + c * g->step_a[2]] - g->zero_a;
        const int32_t second = (int32_t)b[y * g->step_b[0] + x * g->step_b[1] + c * g->step_b[2]] - g->zero_b;
        const int32_t sum = first * g->factor_a + second * g->factor_b;
        *output++ = sc_clamp(sc_rescale(sum, g->scale) + g->out_zero, g->low, g->high);
      }
}

// section: product
static inline void sc_multiply(const sc_binary* g, const uint8_t* a, const uint8_t* b, uint8_t* output) {
  int32_t y, x, c;
  for (y = 0; y < g->height; y++)
    for (x = 0; x < g->width; x++)
      for (c = 0; c < g->channels; c++) {
        const int32_t first = (int32_t)a[y * g->step_a[0] + x * g->step_a[1] + c * g->step_a[2]] - g->zero_a;
        const int32_t second = (int32_t)b[y * g->step_b[0] + x * g->step_b[1] + c * g->step_b[2]] - g->zero_b;
        *output++ = sc_clamp(sc_rescale(first * second, g->scale) + g->out_zero, g->low, g->high);
      }
}

// section: copy
// Every code through a table, to a place of its own: functions of one element, concatenation, flattening.
typedef struct {
  int32_t height, width, channels;
  int32_t first, step[3];  // in the output: of the first element, and from a row, a column, a channel to the next
} sc_copy;

static inline void sc_copy_through(const sc_copy* g, const uint8_t* table, const uint8_t* input, uint8_t* output) {
  int32_t y, x, c;
  for (y = 0; y < g->height; y++)
    for (x = 0; x < g->width; x++)
      for (c = 0; c < g->channels; c++)
        output[g->first + y * g->step[0] + x * g->step[1] + c * g->step[2]] = table[*input++];
}
// section: end
