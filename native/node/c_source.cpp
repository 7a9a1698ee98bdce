// exportC: a model file as C.
#include "export/c_source.h"

#include "node/addon.h"
#include "node/classes.h"

namespace selfcompress::node {
namespace {

bool isIdentifier(const std::string& name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (name.empty() || name.size() > 60 || !letter(name[0])) return false;
  for (char c : name)
    if (!letter(c) && !digit(c)) return false;
  return true;
}

Napi::Value exportC(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"bytes", "name", "weights"});
  TypedArrays arrays;
  bool isFloat = false;
  const std::uint8_t* bytes = arrays.bytesOrFloats(f, "bytes", -1, isFloat);
  if (isFloat) throwType(f.env(), "a Uint8Array", f.path("bytes"), "a Float32Array");
  COptions options;
  if (f.has("name")) options.name = f.string("name");
  if (!isIdentifier(options.name)) throwRange(f.env(), "an identifier of C", f.path("name"), quoted(options.name));
  options.packed = f.choice("weights", {"packed", "plain"}, 0) == 0;
  arrays.verify();
  auto copy = std::make_shared<model::Bytes>(bytes, bytes + arrays.lengthOf("bytes"));
  auto result = std::make_shared<std::string>();
  return addonData(info.Env())
      .stream.queue(info.Env(), {{},
                                 [=] {
                                   const model::ModelReader reader(*copy);
                                   *result = writeC(engine::integer::makeProgram(reader), options);
                                 },
                                 [=](Napi::Env env) -> Napi::Value { return Napi::String::New(env, *result); },
                                 {},
                                 nullptr});
}

}  // namespace

void exportCSource(Napi::Object exports) { exportFunction<exportC>(exports, "exportC"); }

}  // namespace selfcompress::node
