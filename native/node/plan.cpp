#include "node/plan.h"

#include "node/classes.h"

namespace selfcompress::node {
namespace {

template <class List, class Convert>
Napi::Array toArray(Napi::Env env, const List& list, Convert convert) {
  Napi::Array result = Napi::Array::New(env, list.size());
  for (std::size_t i = 0; i < list.size(); i++) result.Set(std::uint32_t(i), convert(list[i]));
  return result;
}

}  // namespace

Napi::Value toPlan(Napi::Env env, const ProgramRows& rows, const std::vector<std::string>& names) {
  auto text = [&](const char* value) { return Napi::String::New(env, value); };
  auto number = [&](auto value) { return Napi::Number::New(env, double(value)); };
  Napi::Object plan = Napi::Object::New(env);
  setOwn(plan, "operations", toArray(env, rows.operations, [&](const OperationRow& row) {
           Napi::Object out = Napi::Object::New(env);
           setOwn(out, "operation", text(row.operation));
           setOwn(out, "section", text(markName(row.section)));
           setOwn(out, "node", row.node < 0 ? env.Null() : Napi::String::New(env, names[std::size_t(row.node)]));
           setOwn(out, "shape", Napi::String::New(env, row.shape));
           setOwn(out, "epilogues", toArray(env, row.epilogues, text));
           setOwn(out, "buffers", toArray(env, row.buffers, number));
           setOwn(out, "batch", toArray(env, row.batch, text));
           setOwn(out, "multiplyAdds", number(row.multiplyAdds));
           return out;
         }));
  setOwn(plan, "buffers", toArray(env, rows.buffers, [&](const BufferRow& row) {
           Napi::Object out = Napi::Object::New(env);
           setOwn(out, "bytes", number(row.bytes));
           setOwn(out, "offset", number(row.offset));
           setOwn(out, "first", number(row.first));
           setOwn(out, "last", number(row.last));
           return out;
         }));
  setOwn(plan, "arenaBytes", number(rows.arenaBytes));
  setOwn(plan, "unsharedBytes", number(rows.unsharedBytes));
  setOwn(plan, "multiplyAdds", number(rows.multiplyAdds));
  return plan;
}

}  // namespace selfcompress::node
