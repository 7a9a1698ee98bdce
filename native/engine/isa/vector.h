// The vector that the kernel texts are written in. Included inside the namespace of an instruction set; nothing of the
// standard library may be used here.

#if defined(SELFCOMPRESS_ENGINE_AVX512)

constexpr int kWidth = 16;
struct Vector {
  __m512 v;
};
inline __mmask16 firstLanes(int n) { return __mmask16((1u << n) - 1); }
inline Vector zero() { return {_mm512_setzero_ps()}; }
inline Vector broadcast(float x) { return {_mm512_set1_ps(x)}; }
inline Vector load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline Vector loadFirst(const float* p, int n) { return {_mm512_maskz_loadu_ps(firstLanes(n), p)}; }
inline void store(float* p, Vector a) { _mm512_storeu_ps(p, a.v); }
inline void storeFirst(float* p, Vector a, int n) { _mm512_mask_storeu_ps(p, firstLanes(n), a.v); }
inline Vector add(Vector a, Vector b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vector subtract(Vector a, Vector b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vector multiply(Vector a, Vector b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vector multiplyAdd(Vector a, Vector b, Vector c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Vector relu(Vector a) { return {_mm512_max_ps(_mm512_setzero_ps(), a.v)}; }  // the second one if it is NaN

#elif defined(SELFCOMPRESS_ENGINE_AVX2)

constexpr int kWidth = 8;
struct Vector {
  __m256 v;
};
inline __m256i firstLanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vector zero() { return {_mm256_setzero_ps()}; }
inline Vector broadcast(float x) { return {_mm256_set1_ps(x)}; }
inline Vector load(const float* p) { return {_mm256_loadu_ps(p)}; }
inline Vector loadFirst(const float* p, int n) { return {_mm256_maskload_ps(p, firstLanes(n))}; }
inline void store(float* p, Vector a) { _mm256_storeu_ps(p, a.v); }
inline void storeFirst(float* p, Vector a, int n) { _mm256_maskstore_ps(p, firstLanes(n), a.v); }
inline Vector add(Vector a, Vector b) { return {_mm256_add_ps(a.v, b.v)}; }
inline Vector subtract(Vector a, Vector b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline Vector multiply(Vector a, Vector b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline Vector multiplyAdd(Vector a, Vector b, Vector c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline Vector relu(Vector a) { return {_mm256_max_ps(_mm256_setzero_ps(), a.v)}; }

#elif defined(SELFCOMPRESS_ENGINE_WASM)

constexpr int kWidth = 4;
struct Vector {
  v128_t v;
};
inline Vector zero() { return {wasm_f32x4_const(0, 0, 0, 0)}; }
inline Vector broadcast(float x) { return {wasm_f32x4_splat(x)}; }
inline Vector load(const float* p) { return {wasm_v128_load(p)}; }
inline Vector loadFirst(const float* p, int n) {
  float lanes[kWidth] = {};
  for (int i = 0; i < n; i++) lanes[i] = p[i];
  return load(lanes);
}
inline void store(float* p, Vector a) { wasm_v128_store(p, a.v); }
inline void storeFirst(float* p, Vector a, int n) {
  float lanes[kWidth];
  store(lanes, a);
  for (int i = 0; i < n; i++) p[i] = lanes[i];
}
inline Vector add(Vector a, Vector b) { return {wasm_f32x4_add(a.v, b.v)}; }
inline Vector subtract(Vector a, Vector b) { return {wasm_f32x4_sub(a.v, b.v)}; }
inline Vector multiply(Vector a, Vector b) { return {wasm_f32x4_mul(a.v, b.v)}; }
inline Vector multiplyAdd(Vector a, Vector b, Vector c) { return add(multiply(a, b), c); }  // two roundings
inline Vector relu(Vector a) { return {wasm_f32x4_max(zero().v, a.v)}; }                    // NaN stays one

#else

constexpr int kWidth = 8;
struct Vector {
  float v[kWidth];
};
inline Vector zero() { return {}; }
inline Vector broadcast(float x) {
  Vector r;
  for (float& lane : r.v) lane = x;
  return r;
}
inline Vector loadFirst(const float* p, int n) {
  Vector r{};
  for (int i = 0; i < n; i++) r.v[i] = p[i];
  return r;
}
inline Vector load(const float* p) {
  Vector r;
  for (int i = 0; i < kWidth; i++) r.v[i] = p[i];
  return r;
}
inline void store(float* p, Vector a) {
  for (int i = 0; i < kWidth; i++) p[i] = a.v[i];
}
inline void storeFirst(float* p, Vector a, int n) {
  for (int i = 0; i < n; i++) p[i] = a.v[i];
}
inline Vector add(Vector a, Vector b) {
  for (int i = 0; i < kWidth; i++) a.v[i] += b.v[i];
  return a;
}
inline Vector subtract(Vector a, Vector b) {
  for (int i = 0; i < kWidth; i++) a.v[i] -= b.v[i];
  return a;
}
inline Vector multiply(Vector a, Vector b) {
  for (int i = 0; i < kWidth; i++) a.v[i] *= b.v[i];
  return a;
}
inline Vector multiplyAdd(Vector a, Vector b, Vector c) {
  for (int i = 0; i < kWidth; i++) c.v[i] += a.v[i] * b.v[i];
  return c;
}
inline Vector relu(Vector a) {
  for (float& lane : a.v) lane = lane < 0 ? 0 : lane;
  return a;
}

#endif
