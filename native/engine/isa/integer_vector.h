// The vectors that the kernels of integers are written in (integer.inc): 32-bit sums, kWidth channels of them; dot adds
// to each the products of kGroup elements, the same for all channels or not, with weights of its own. Included inside
// the namespace of an instruction set; nothing of the standard library may be used here but memcpy. No instruction here
// saturates but where codes are stored, which have been clamped before.

#if defined(SELFCOMPRESS_INTEGER_AVX512)

using Stored = std::uint8_t;
using Weight = std::int8_t;
constexpr int kWidth = 16, kGroup = 4;
using Vector = __m512i;
using Weights = __m512i;
using Group = __m512i;
inline Stored elementOf(std::uint8_t code, std::int32_t) { return code; }
inline Vector ints(std::int32_t x) { return _mm512_set1_epi32(x); }
inline Vector loadInts(const std::int32_t* p) { return _mm512_loadu_si512(p); }
inline void storeInts(std::int32_t* p, Vector a) { _mm512_storeu_si512(p, a); }
inline Weights loadWeights(const Weight* p) { return _mm512_loadu_si512(p); }
inline Group broadcastGroup(const Stored* p) {
  std::int32_t four;
  std::memcpy(&four, p, sizeof four);
  return _mm512_set1_epi32(four);
}
inline __m128i load16(const Stored* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
// 16 channels of 4 places: bytes of one channel become neighbours.
inline Group gatherGroup(const Stored* x, const std::int64_t* places) {
  __m512i rows = _mm512_castsi128_si512(load16(x + places[0]));
  rows = _mm512_inserti32x4(rows, load16(x + places[1]), 1);
  rows = _mm512_inserti32x4(rows, load16(x + places[2]), 2);
  rows = _mm512_inserti32x4(rows, load16(x + places[3]), 3);
  const __m512i columns = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m128i bytes = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_shuffle_epi8(_mm512_permutexvar_epi32(columns, rows), _mm512_broadcast_i32x4(bytes));
}
inline Vector dot(Vector sum, Group x, Weights w) { return _mm512_dpbusd_epi32(sum, x, w); }
inline Vector addInts(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
inline Vector halved(Vector a) { return _mm512_srai_epi32(a, 1); }
inline Vector shifted(Vector a, Vector by) { return _mm512_srav_epi32(a, by); }
inline Vector highProduct(Vector a, Vector b) {
  const __m512i even = _mm512_mul_epi32(a, b);
  const __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
  return _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
}
inline Vector clamped(Vector a, Vector low, Vector high) { return _mm512_min_epi32(_mm512_max_epi32(a, low), high); }
inline void storeCodes(std::uint8_t* p, Vector a, int count) {
  _mm512_mask_cvtepi32_storeu_epi8(p, __mmask16((1u << count) - 1), a);
}

#elif defined(SELFCOMPRESS_INTEGER_AVX2)

using Stored = std::int16_t;
using Weight = std::int16_t;
constexpr int kWidth = 8, kGroup = 2;
using Vector = __m256i;
using Weights = __m256i;
using Group = __m256i;
inline Stored elementOf(std::uint8_t code, std::int32_t zero) { return Stored(code - zero); }
inline Vector ints(std::int32_t x) { return _mm256_set1_epi32(x); }
inline Vector loadInts(const std::int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline void storeInts(std::int32_t* p, Vector a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a); }
inline Weights loadWeights(const Weight* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline Group broadcastGroup(const Stored* p) {
  std::int32_t two;
  std::memcpy(&two, p, sizeof two);
  return _mm256_set1_epi32(two);
}
inline __m128i load8(const Stored* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
inline Group gatherGroup(const Stored* x, const std::int64_t* places) {
  const __m128i a = load8(x + places[0]), b = load8(x + places[1]);
  return _mm256_set_m128i(_mm_unpackhi_epi16(a, b), _mm_unpacklo_epi16(a, b));
}
// Elements have 9 bits and weights 8: two products fit into 32 bits, and none is the one that overflows.
inline Vector dot(Vector sum, Group x, Weights w) { return _mm256_add_epi32(sum, _mm256_madd_epi16(x, w)); }
inline Vector addInts(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
inline Vector halved(Vector a) { return _mm256_srai_epi32(a, 1); }
inline Vector shifted(Vector a, Vector by) { return _mm256_srav_epi32(a, by); }
inline Vector highProduct(Vector a, Vector b) {
  const __m256i even = _mm256_mul_epi32(a, b);
  const __m256i odd = _mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));
  return _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
}
inline Vector clamped(Vector a, Vector low, Vector high) { return _mm256_min_epi32(_mm256_max_epi32(a, low), high); }
inline void storeCodes(std::uint8_t* p, Vector a, int count) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  std::uint8_t bytes[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), _mm_packus_epi16(words, words));
  if (count == kWidth) std::memcpy(p, bytes, kWidth);
  else
    for (int i = 0; i < count; i++) p[i] = bytes[i];
}

#elif defined(SELFCOMPRESS_INTEGER_NEON)

using Stored = std::int8_t;
using Weight = std::int8_t;
constexpr int kWidth = 4;
using Vector = int32x4_t;
inline Stored elementOf(std::uint8_t code, std::int32_t) { return Stored(code - 128); }
inline Vector ints(std::int32_t x) { return vdupq_n_s32(x); }
inline Vector loadInts(const std::int32_t* p) { return vld1q_s32(p); }
inline void storeInts(std::int32_t* p, Vector a) { vst1q_s32(p, a); }
inline int8x8_t load4(const Stored* p) {
  std::int32_t four;
  std::memcpy(&four, p, sizeof four);
  return vreinterpret_s8_s32(vdup_n_s32(four));
}
#if defined(__ARM_FEATURE_DOTPROD)
constexpr int kGroup = 4;
using Weights = int8x16_t;
using Group = int8x16_t;
inline Weights loadWeights(const Weight* p) { return vld1q_s8(p); }
inline Group broadcastGroup(const Stored* p) {
  std::int32_t four;
  std::memcpy(&four, p, sizeof four);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}
inline Group gatherGroup(const Stored* x, const std::int64_t* places) {
  const int8x8_t ab = vzip1_s8(load4(x + places[0]), load4(x + places[1]));
  const int8x8_t cd = vzip1_s8(load4(x + places[2]), load4(x + places[3]));
  const int16x4x2_t all = vzip_s16(vreinterpret_s16_s8(ab), vreinterpret_s16_s8(cd));
  return vreinterpretq_s8_s16(vcombine_s16(all.val[0], all.val[1]));
}
inline Vector dot(Vector sum, Group x, Weights w) { return vdotq_s32(sum, x, w); }
#else
constexpr int kGroup = 2;
using Weights = int8x8_t;
using Group = int8x8_t;
inline Weights loadWeights(const Weight* p) { return vld1_s8(p); }
inline Group broadcastGroup(const Stored* p) {
  std::int16_t two;
  std::memcpy(&two, p, sizeof two);
  return vreinterpret_s8_s16(vdup_n_s16(two));
}
inline Group gatherGroup(const Stored* x, const std::int64_t* places) {
  return vzip1_s8(load4(x + places[0]), load4(x + places[1]));
}
// Products fit into 16 bits, (-128) * (-128) as well; pairs of them are added in 32.
inline Vector dot(Vector sum, Group x, Weights w) { return vpadalq_s16(sum, vmull_s8(x, w)); }
#endif
inline Vector addInts(Vector a, Vector b) { return vaddq_s32(a, b); }
inline Vector halved(Vector a) { return vshrq_n_s32(a, 1); }
inline Vector shifted(Vector a, Vector by) { return vshlq_s32(a, vnegq_s32(by)); }
inline Vector highProduct(Vector a, Vector b) {
  const int64x2_t low = vmull_s32(vget_low_s32(a), vget_low_s32(b)), high = vmull_high_s32(a, b);
  return vcombine_s32(vshrn_n_s64(low, 32), vshrn_n_s64(high, 32));
}
inline Vector clamped(Vector a, Vector low, Vector high) { return vminq_s32(vmaxq_s32(a, low), high); }
inline void storeCodes(std::uint8_t* p, Vector a, int count) {
  const uint16x4_t words = vmovn_u32(vreinterpretq_u32_s32(a));
  std::uint8_t bytes[8];
  vst1_u8(bytes, vmovn_u16(vcombine_u16(words, words)));
  if (count == kWidth) std::memcpy(p, bytes, kWidth);
  else
    for (int i = 0; i < count; i++) p[i] = bytes[i];
}

#elif defined(SELFCOMPRESS_INTEGER_WASM)

using Stored = std::int16_t;
using Weight = std::int16_t;
constexpr int kWidth = 4, kGroup = 2;
using Vector = v128_t;
using Weights = v128_t;
using Group = v128_t;
inline Stored elementOf(std::uint8_t code, std::int32_t zero) { return Stored(code - zero); }
inline Vector ints(std::int32_t x) { return wasm_i32x4_splat(x); }
inline Vector loadInts(const std::int32_t* p) { return wasm_v128_load(p); }
inline void storeInts(std::int32_t* p, Vector a) { wasm_v128_store(p, a); }
inline Weights loadWeights(const Weight* p) { return wasm_v128_load(p); }
inline Group broadcastGroup(const Stored* p) { return wasm_v128_load32_splat(p); }
inline Group gatherGroup(const Stored* x, const std::int64_t* places) {
  const v128_t a = wasm_v128_load64_zero(x + places[0]), b = wasm_v128_load64_zero(x + places[1]);
  return wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
inline Vector dot(Vector sum, Group x, Weights w) { return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(x, w)); }
inline Vector addInts(Vector a, Vector b) { return wasm_i32x4_add(a, b); }
inline Vector halved(Vector a) { return wasm_i32x4_shr(a, 1); }
// The high halves of four products of 64 bits.
inline Vector highProduct(Vector a, Vector b) {
  return wasm_i32x4_shuffle(wasm_i64x2_extmul_low_i32x4(a, b), wasm_i64x2_extmul_high_i32x4(a, b), 1, 3, 5, 7);
}
// There is no shift of lanes by counts of their own.
inline Vector shifted(Vector a, Vector by) {
  return wasm_i32x4_make(wasm_i32x4_extract_lane(a, 0) >> wasm_i32x4_extract_lane(by, 0),
                         wasm_i32x4_extract_lane(a, 1) >> wasm_i32x4_extract_lane(by, 1),
                         wasm_i32x4_extract_lane(a, 2) >> wasm_i32x4_extract_lane(by, 2),
                         wasm_i32x4_extract_lane(a, 3) >> wasm_i32x4_extract_lane(by, 3));
}
inline Vector clamped(Vector a, Vector low, Vector high) { return wasm_i32x4_min(wasm_i32x4_max(a, low), high); }
inline void storeCodes(std::uint8_t* p, Vector a, int count) {
  const v128_t words = wasm_i16x8_narrow_i32x4(a, a), bytes = wasm_u8x16_narrow_i16x8(words, words);
  const std::uint32_t four = std::uint32_t(wasm_i32x4_extract_lane(bytes, 0));
  if (count == kWidth) std::memcpy(p, &four, kWidth);
  else
    for (int i = 0; i < count; i++) p[i] = std::uint8_t(four >> (8 * i));
}

#endif
