#include "train/channel_values.h"

#include <algorithm>

namespace selfcompress {

bool ChannelValues::isZero(int tensor, int channel) const {
  const MaybeConstant& value = constants[std::size_t(tensor)][std::size_t(channel)];
  return value && value->isZero();
}

bool ChannelValues::areZero(const std::vector<int>& inputs, const std::vector<ChannelRule::Source>& sources) const {
  return std::all_of(sources.begin(), sources.end(),
                     [&](const ChannelRule::Source& s) { return isZero(inputs[std::size_t(s.input)], s.channel); });
}

bool ChannelValues::areUniform(const std::vector<int>& inputs, const std::vector<ChannelRule::Source>& sources) const {
  return std::all_of(sources.begin(), sources.end(), [&](const ChannelRule::Source& s) {
    return uniform[std::size_t(inputs[std::size_t(s.input)])][std::size_t(s.channel)];
  });
}

}  // namespace selfcompress
