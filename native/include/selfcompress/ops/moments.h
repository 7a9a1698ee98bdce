// Mean and variance of a channel, which the operation that writes a tensor may take for the batch norm that reads it.
#pragma once

namespace selfcompress {

// Over all images of the batch, without padding lanes, and all pixels: mean = E[x], variance = E[(x-mean)^2].
struct ChannelMoments {
  double mean = 0, variance = 0;
};

}  // namespace selfcompress
