// squeezeCodes: codes that take fewer bits.
#include "model/squeeze.h"

#include "node/addon.h"
#include "node/classes.h"

namespace selfcompress::node {
namespace {

Napi::Value squeeze(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"codes", "cost", "channels", "places", "lambda"});
  TypedArrays arrays;
  const std::int32_t* codes = arrays.integers(f, "codes", -1, TypedArrays::Access::kRead);
  const auto count = std::int64_t(arrays.lengthOf("codes"));
  const float* cost = arrays.floats(f, "cost", count, TypedArrays::Access::kRead);
  model::RowShape shape;
  shape.channels = f.integer("channels", 1, kMostChannels), shape.places = f.integer("places", 1, 1 << 24);
  const double lambda = f.number("lambda", 0, 1e300);
  if (count < 1 || count % (shape.channels * shape.places))
    throwRange(f.env(), "n × channels × places codes", f.path("codes"), "length " + std::to_string(count));
  shape.inputs = count / (shape.channels * shape.places);
  arrays.verify();
  auto result = std::make_shared<std::vector<std::int32_t>>();
  return addonData(info.Env())
      .stream.queue(info.Env(), {arrays.keepAlive(),
                                 [=] {
                                   result->resize(std::size_t(count));
                                   model::squeezeCodes(shape, codes, cost, lambda, result->data());
                                 },
                                 [=](Napi::Env env) -> Napi::Value {
                                   auto out = Napi::Int32Array::New(env, result->size());
                                   std::copy(result->begin(), result->end(), out.Data());
                                   return out;
                                 },
                                 {},
                                 nullptr});
}

}  // namespace

void exportSqueeze(Napi::Object exports) { exportFunction<squeeze>(exports, "squeezeCodes"); }

}  // namespace selfcompress::node
