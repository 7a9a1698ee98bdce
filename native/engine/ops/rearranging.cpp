// Operators that move elements: gatherChannels, channelShuffle, padChannels, sliceChannels, slicePositions, pad,
// pixelShuffle, pixelUnshuffle, reshape, concat along positions; and resize, which weights up to four of them.
#include <algorithm>

#include "engine/ops/rearranging.h"
#include "engine/ops/view.h"
#include "ops/layout/layouts.h"
#include "ops/resize/resize.h"

namespace selfcompress::engine {
namespace {

// An element of an input; input -1: zeros.
struct Source {
  int input, channel, row, column;
};

// Map: Source operator()(int channel, int row, int column) for an element of the output.
template <class Map>
class Rearrange final : public Step {
 public:
  Rearrange(const NodeContext& c, Map map) : output_(c.output.folded()), map_(std::move(map)) {
    for (const Axes& in : c.inputs) inputs_.push_back(in.folded());
  }
  void run(const Run& r) const override {
    const View to = viewOf(output_, r.layout);
    forElements(output_, r.layout, [&](std::int64_t c, std::int64_t p) {
      const Source s = map_(int(c), int(p / output_.width), int(p % output_.width));
      float* target = r.output + to.at(c, p);
      if (s.input < 0) {
        std::fill_n(target, to.lanes, 0.0f);
        return;
      }
      const Shape& in = inputs_[std::size_t(s.input)];
      const float* source = r.inputs[std::size_t(s.input)] +
                            viewOf(in, r.layout).at(s.channel, std::int64_t(s.row) * in.width + s.column);
      std::copy_n(source, to.lanes, target);
    });
  }

 private:
  Shape output_;
  std::vector<Shape> inputs_;
  Map map_;
};

template <class Map>
std::unique_ptr<Step> rearrange(const Preparation& p, Map map) {
  return std::make_unique<Rearrange<Map>>(p.context, std::move(map));
}

template <ChannelIndex (*indexOf)(const NodeContext&)>
std::unique_ptr<Step> prepareChannels(const Preparation& p) {
  return rearrange(p, [index = indexOf(p.context)](int c, int y, int x) {
    const std::int32_t from = index[std::size_t(c)];
    return Source{from < 0 ? -1 : 0, from, y, x};
  });
}

std::unique_ptr<Step> prepareSlice(const Preparation& p) {
  return rearrange(p, [s = positionSlice(p.context)](int c, int y, int x) {
    return Source{0, c, s.first[0] + y * s.step[0], s.first[1] + x * s.step[1]};
  });
}

std::unique_ptr<Step> preparePad(const Preparation& p) {
  return rearrange(p, [g = padGeometry(p.context)](int c, int y, int x) {
    const int row = padSource(g.mode, y, g.top, g.input.height), column = padSource(g.mode, x, g.left, g.input.width);
    return Source{row < 0 || column < 0 ? -1 : 0, c, row, column};
  });
}

// Where the channel of the deep value that lies at a place of the wide one is found again: depthPlace backwards.
int deepChannel(const DepthToSpace& d, int channel, int row, int column) {
  const int place = row * d.size + column, wide = d.deep.channels / (d.size * d.size);
  return d.order == DepthOrder::kBlockFirst ? place * wide + channel : channel * d.size * d.size + place;
}

std::unique_ptr<Step> prepareShuffle(const Preparation& p) {
  return rearrange(p, [d = depthToSpace(p.context, false)](int c, int y, int x) {
    return Source{0, deepChannel(d, c, y % d.size, x % d.size), y / d.size, x / d.size};
  });
}

std::unique_ptr<Step> prepareUnshuffle(const Preparation& p) {
  return rearrange(p, [d = depthToSpace(p.context, true)](int c, int y, int x) {
    const DepthPlace place = depthPlace(d, c);
    return Source{0, place.channel, y * d.size + place.row, x * d.size + place.column};
  });
}

class Resize final : public Step {
 public:
  explicit Resize(const Preparation& p) : g_(resizeGeometry(p.context)) {}
  void run(const Run& r) const override {
    const View from = viewOf(g_.input, r.layout), to = viewOf(g_.output(), r.layout);
    forElements(g_.output(), r.layout, [&](std::int64_t c, std::int64_t p) {
      const ResizeTap row = resizeRow(g_, int(p / g_.outWidth)), column = resizeColumn(g_, int(p % g_.outWidth));
      auto at = [&](int y, int x) { return r.inputs[0] + from.at(c, std::int64_t(y) * g_.input.width + x); };
      float* target = r.output + to.at(c, p);
      const float *a = at(row.first, column.first), *b = at(row.first, column.second),
                  *d = at(row.second, column.first), *e = at(row.second, column.second);
      if (g_.mode == ResizeMode::kNearest) {
        std::copy_n(a, to.lanes, target);
        return;
      }
      const double down = double(row.weight), right = double(column.weight);
      for (int n = 0; n < to.lanes; n++)
        target[n] = float((1 - down) * ((1 - right) * double(a[n]) + right * double(b[n])) +
                          down * ((1 - right) * double(d[n]) + right * double(e[n])));
    });
  }

 private:
  ResizeGeometry g_;
};

}  // namespace

std::unique_ptr<Step> prepareConcatPositions(const Preparation& p, bool rows) {
  // Of each row or column of the output: its input, and the row or column there.
  std::vector<std::pair<int, int>> from;
  for (std::size_t k = 0; k < p.context.inputs.size(); k++) {
    const Shape in = p.context.inputs[k].folded();
    for (int i = 0; i < (rows ? in.height : in.width); i++) from.emplace_back(int(k), i);
  }
  return rearrange(p, [from = std::move(from), rows](int c, int y, int x) {
    const auto [input, at] = from[std::size_t(rows ? y : x)];
    return Source{input, c, rows ? at : y, rows ? x : at};
  });
}

std::unique_ptr<Step> prepareReshape(const Preparation& p) {
  const Shape in = p.context.inputs[0].folded(), out = p.context.output.folded();
  return rearrange(p, [in, out](int c, int y, int x) {
    const std::int64_t element = (std::int64_t(c) * out.height + y) * out.width + x, pixels = in.pixels();
    const int pixel = int(element % pixels);
    return Source{0, int(element / pixels), pixel / in.width, pixel % in.width};
  });
}

namespace ops {
extern const EngineOperator gatherChannels, channelShuffle, padChannels, sliceChannels, slicePositions, pad,
    pixelShuffle, pixelUnshuffle, reshape, resize;
const EngineOperator gatherChannels = everyPosition({"gatherChannels", prepareChannels<gatheredChannels>});
const EngineOperator channelShuffle = everyPosition({"channelShuffle", prepareChannels<shuffledChannels>});
const EngineOperator padChannels = everyPosition({"padChannels", prepareChannels<paddedChannels>});
const EngineOperator sliceChannels = everyPosition({"sliceChannels", prepareChannels<slicedChannels>});
const EngineOperator slicePositions{"slicePositions", prepareSlice};
const EngineOperator pad{"pad", preparePad};
const EngineOperator pixelShuffle{"pixelShuffle", prepareShuffle};
const EngineOperator pixelUnshuffle{"pixelUnshuffle", prepareUnshuffle};
const EngineOperator reshape{"reshape", prepareReshape};
const EngineOperator resize{"resize", prepareStep<Resize>};
}  // namespace ops

}  // namespace selfcompress::engine
