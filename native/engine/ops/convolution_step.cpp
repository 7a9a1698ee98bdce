// Sums of products, rows of output pixels at a time.
#include "engine/ops/convolution_step.h"

#include <algorithm>
#include <mutex>
#include <optional>

#include "engine/ops/term_blocks.h"
#include "engine/ops/winograd.h"
#include "engine/panel.h"

namespace selfcompress::engine {
namespace {

class Convolution final : public Step {
 public:
  Convolution(const Preparation& p, const Conv2dGeometry& geometry, Weights weights)
      : g_(geometry), weights_(std::move(weights)), epilogue_(p.epilogue), keep_(p.keepPanels) {
    const std::size_t padded = std::size_t(roundUp(g_.outChannels, 16) + 16);
    for (std::vector<float>* values : {&epilogue_.bias, &epilogue_.scale, &epilogue_.shift})
      if (!values->empty()) values->resize(padded, 0.0f);
    inGroup_ = g_.inPerGroup(), outGroup_ = g_.outPerGroup();
    depthwise_ = g_.groups > 1 && inGroup_ == 1 && outGroup_ == 1;
    isPadded_ = g_.padH > 0 || g_.padW > 0;
    height_ = g_.height + 2 * std::int64_t(g_.padH), width_ = g_.width + 2 * std::int64_t(g_.padW);
    // A kernel of one place without steps: all pixels are one row.
    oneRow_ = g_.kernelHeight == 1 && g_.kernelWidth == 1 && g_.strideH == 1 && g_.strideW == 1 && !isPadded_;
    rows_ = oneRow_ ? 1 : g_.outHeight();
    pixels_ = oneRow_ ? g_.height * g_.width : g_.outWidth();
    width16_ = p.kernels.width;
    for (Layout layout : {Layout::kNhwc, Layout::kLanes})
      if (Winograd::isWorth(g_, p.kernels, layout)) winograd_[std::size_t(layout)].emplace(g_, p.kernels, layout);
    // Where weights stay packed those of all points together must take little beside what they are multiplied by.
    if (!keep_) winograd_[0].reset();
    if (winograd_[1] && !keep_ && 16 * (winograd_[1]->panelFloats() + winograd_[1]->rowFloats()) > imageFloats())
      winograd_[1].reset();
    if (!keep_) blocks_ = termBlocks(inGroup_, std::int64_t(g_.kernelHeight) * g_.kernelWidth);
    makeRuns();
  }

  void run(const Run& r) const override {
    const float* input = r.inputs[0];
    if (inBlocks(r.layout)) return runBlocks(r, isPadded_ ? pad(r) : input);
    const float* panel = panelFor(r);
    if (byTiles(r.layout)) return tilesOf(r.layout)->run(r, panel, r.scratch, epilogueAt(r, 0));
    if (depthwise_ && r.layout == Layout::kLanes) return runPlanes(r, panel);
    if (inBands(r)) return runBands(r, panel);
    if (isPadded_) input = pad(r);
    if (r.layout == Layout::kLanes) runImages(r, input, panel);
    else runChannels(r, input, panel);
  }

  std::int64_t scratchFloats(Layout layout) const override {
    const std::int64_t unpacked = inBlocks(layout) ? kBlockFloats : panelFloats(layout) + rowFloats(layout);
    return runFloats(layout) + (keep_ ? 0 : unpacked);
  }
  std::size_t weightBytes() const override {
    return weights_.bytes() + (epilogue_.bias.size() + epilogue_.scale.size() + epilogue_.shift.size()) * sizeof(float);
  }
  std::size_t panelBytes() const override {
    return panels_[0].bytes() + panels_[1].bytes() + (places_.size() + runs_.size()) * sizeof(std::int64_t) +
           blocks_.size() * sizeof(TermBlock);
  }
  double cost(Layout layout, const Kernels& kernels) const override {
    if (byTiles(layout)) return tilesOf(layout)->cost();
    const double perPixel = double(weights_.perChannel()), pixels = double(g_.outHeight()) * g_.outWidth();
    const double weights = perPixel * g_.outChannels;
    const double read = readCost(weights, kernels);  // however many images they are for
    if (layout == Layout::kLanes) return pixels * weights * (16.0 / kernels.width) + read;
    if (depthwise_) return pixels * perPixel * double(roundUp(g_.outChannels, kernels.width)) / kernels.width;
    return pixels * perPixel * g_.groups * double(roundUp(outGroup_, kernels.width)) / kernels.width + read;
  }

 private:
  // Offsets of the weights' places in the input: runs of neighbouring floats (kNhwc), single ones (kLanes; made
  // when they are first needed).
  void makeRuns() {
    const std::int64_t line = width_ * g_.inChannels;
    const bool whole = g_.groups == 1 && g_.dilationW == 1;
    if (whole && g_.dilationH == 1 && g_.kernelWidth == width_) {  // whole lines: they follow one another
      runs_ = {0}, runLength_ = g_.kernelHeight * line;
      return;
    }
    for (std::int64_t i = 0; i < g_.kernelHeight; i++) {
      for (std::int64_t j = 0; j < (whole ? 1 : g_.kernelWidth); j++)
        runs_.push_back(i * g_.dilationH * line + j * g_.dilationW * g_.inChannels);
    }
    runLength_ = whole ? std::int64_t(g_.kernelWidth) * g_.inChannels : inGroup_;
  }
  // Pixels from a kernel's first place to another.
  std::int64_t placeAt(std::int64_t place) const {
    return place / g_.kernelWidth * g_.dilationH * width_ + place % g_.kernelWidth * g_.dilationW;
  }
  void makePlaces() const {
    for (std::int64_t c = 0; c < inGroup_; c++)
      for (std::int64_t p = 0; p < std::int64_t(g_.kernelHeight) * g_.kernelWidth; p++)
        places_.push_back((c * height_ * width_ + placeAt(p)) * kBlock);
  }

  // Bands overlap by less than the lines that a kernel reaches.
  std::int64_t paddedFloats(Layout layout) const {
    if (!isPadded_) return 0;
    const std::int64_t overlaps = keep_ && layout == Layout::kNhwc ? (kMostBands - 1) * reach() : 0;
    return roundUp(g_.inChannels * (height_ + overlaps) * width_ * imagesOf(layout), 16);
  }
  std::int64_t reach() const { return std::int64_t(g_.kernelHeight - 1) * g_.dilationH + 1; }

  const float* pad(const Run& r) const {
    const Planes in = planesOf(g_.input(), r.layout);
    r.parallel.run(in.outer, [&](std::int64_t o) {
      padPlane(in, r.inputs[0] + o * in.height * in.width * in.inner, r.scratch + o * height_ * width_ * in.inner);
    });
    return r.scratch;
  }
  void padPlane(const Planes& in, const float* from, float* to) const { padLines(in, from, 0, height_, to); }
  // Lines of the padded plane from one on.
  void padLines(const Planes& in, const float* from, std::int64_t first, std::int64_t count, float* to) const {
    const std::int64_t line = width_ * in.inner, left = g_.padW * in.inner, middle = in.width * in.inner;
    for (std::int64_t y = first - g_.padH; y < first - g_.padH + count; y++, to += line) {
      if (y < 0 || y >= in.height) {
        std::fill_n(to, line, 0.0f);
        continue;
      }
      std::fill_n(to, left, 0.0f);
      std::copy_n(from + y * middle, middle, to + left);
      std::fill_n(to + left + middle, left, 0.0f);
    }
  }

  // Floats of the weights of one group as the kernels want them.
  std::int64_t groupPanel(Layout layout) const {
    return weights_.perChannel() * (layout == Layout::kLanes ? outGroup_ : roundUp(outGroup_, width16_));
  }
  std::int64_t panelFloats(Layout layout) const {
    if (byTiles(layout)) return tilesOf(layout)->panelFloats();
    if (depthwise_) return weights_.perChannel() * g_.outChannels;
    return groupPanel(layout) * g_.groups;
  }
  // Beside the panel, while it is made.
  std::int64_t rowFloats(Layout layout) const {
    return byTiles(layout) ? tilesOf(layout)->rowFloats() : weights_.perChannel();
  }
  // Beside input, output and panel.
  std::int64_t runFloats(Layout layout) const {
    return byTiles(layout) ? tilesOf(layout)->scratchFloats() : paddedFloats(layout);
  }
  const std::optional<Winograd>& tilesOf(Layout layout) const { return winograd_[std::size_t(layout)]; }
  bool byTiles(Layout layout) const { return tilesOf(layout).has_value(); }
  // Whether weights are unpacked some at a time, as the sums need them. Those of depthwise layers are few.
  bool inBlocks(Layout layout) const { return !keep_ && !depthwise_ && !byTiles(layout); }
  // What goes in and comes out of 16 images.
  std::int64_t imageFloats() const { return (g_.input().elements() + g_.output().elements()) * kBlock; }

  const float* panelFor(const Run& r) const {
    const std::int64_t floats = panelFloats(r.layout);
    float* const scratch = r.scratch + runFloats(r.layout);
    return panels_[std::size_t(r.layout)].get(keep_, floats, scratch, [&](float* panel) {
      std::vector<float> own(keep_ ? std::size_t(rowFloats(r.layout)) : 0);
      float* const rows = keep_ ? own.data() : scratch + floats;
      if (byTiles(r.layout)) tilesOf(r.layout)->makePanel(weights_, r.kernels, panel, rows);
      else makePanel(r.layout, r.kernels, panel, rows);
    });
  }

  // `row`: memory for the weights of one channel.
  void makePanel(Layout layout, const Kernels& kernels, float* panel, float* row) const {
    const std::int64_t places = std::int64_t(g_.kernelHeight) * g_.kernelWidth, k = weights_.perChannel();
    const bool images = layout == Layout::kLanes;
    const std::int64_t tile = images ? kernels.tileChannels : kernels.tileVectors * kernels.width;
    const std::int64_t padded = images ? outGroup_ : roundUp(outGroup_, kernels.width);
    std::fill_n(panel, panelFloats(layout), 0.0f);
    for (std::int64_t o = 0; o < g_.outChannels; o++) {
      weights_.unpack(o, row);
      const std::int64_t group = o / outGroup_, c = o % outGroup_, first = c / tile * tile;
      float* to = panel + group * groupPanel(layout) + first * k + c % tile;
      std::int64_t step = std::min(tile, padded - first);
      if (depthwise_ && !images) to = panel + o, step = g_.outChannels;
      for (std::int64_t i = 0; i < inGroup_; i++)
        for (std::int64_t p = 0; p < places; p++)
          to[(images ? i * places + p : p * inGroup_ + i) * step] = row[i * places + p];
    }
  }

  EpilogueView epilogueAt(const Run& r, std::int64_t channel) const {
    EpilogueView view;
    if (epilogue_.sum) view.other = r.inputs.back() - r.output;
    if (!epilogue_.bias.empty()) view.bias = epilogue_.bias.data() + channel;
    if (!epilogue_.scale.empty())
      view.scale = epilogue_.scale.data() + channel, view.shift = epilogue_.shift.data() + channel;
    view.relu = epilogue_.relu, view.lastRelu = epilogue_.lastRelu;
    return view;
  }

  bool worthSharing(const Run& r) const {
    return r.parallel.threads > 1 &&
           double(weights_.perChannel()) * g_.outChannels * rows_ * pixels_ * imagesOf(r.layout) >
               kWorthSharing.multiplications;
  }
  static void each(const Run& r, bool share, std::int64_t count, const std::function<void(std::int64_t)>& task) {
    if (share) return r.parallel.run(count, task);
    for (std::int64_t i = 0; i < count; i++) task(i);
  }

  // Weights beyond the second cache are gone through once, a tile of channels after the other for all rows, not once
  // for each row.
  bool pastCache() const {
    return double(runs_.size()) * double(runLength_) * double(outGroup_) * sizeof(float) > kSecondCache;
  }
  int channelTiles(const Run& r) const {
    const int perTile = r.kernels.tileVectors * r.kernels.width;
    return int((outGroup_ + perTile - 1) / perTile);
  }
  // A row of one image; line: the first that it reads.
  ChannelRow channelRow(const Run& r, const float* panel, const float* line, std::int64_t group, std::int64_t y) const {
    ChannelRow row;
    row.pixelStep = std::int64_t(g_.strideW) * g_.inChannels;
    row.input = line + group * inGroup_;
    row.runs = runs_.data(), row.runCount = int(runs_.size()), row.runLength = int(runLength_);
    row.panel = panel + group * groupPanel(Layout::kNhwc);
    row.outputStep = g_.outChannels;
    row.output = r.output + y * pixels_ * g_.outChannels + group * outGroup_;
    row.pixels = pixels_, row.channels = int(outGroup_);
    row.lastTile = channelTiles(r);
    row.epilogue = epilogueAt(r, group * outGroup_);
    return row;
  }

  // Each thread a band of rows, whose lines of the input it pads itself.
  static constexpr std::int64_t kMostBands = 4;
  bool inBands(const Run& r) const {
    return isPadded_ && !depthwise_ && r.layout == Layout::kNhwc &&
           r.parallel.threads <= std::min<std::int64_t>(kMostBands, rows_) && worthSharing(r) && !pastCache();
  }
  void runBands(const Run& r, const float* panel) const {
    const Planes in = planesOf(g_.input(), r.layout);
    const std::int64_t bands = r.parallel.threads, line = width_ * g_.inChannels,
                       mostLines = ((rows_ + bands - 1) / bands - 1) * g_.strideH + reach();
    r.parallel.ranges(rows_, bands, [&](std::int64_t first, std::int64_t last) {
      const std::int64_t band = (first * bands + rows_ - 1) / rows_;
      float* const lines = r.scratch + band * mostLines * line;
      padLines(in, r.inputs[0], first * g_.strideH, (last - first - 1) * g_.strideH + reach(), lines);
      for (std::int64_t group = 0; group < g_.groups; group++)
        for (std::int64_t y = first; y < last; y++)
          r.kernels.channelRow(channelRow(r, panel, lines + (y - first) * g_.strideH * line, group, y));
    });
  }

  void runChannels(const Run& r, const float* input, const float* panel) const {
    const bool share = worthSharing(r);
    if (depthwise_) {
      each(r, share, rows_, [&](std::int64_t y) {
        DepthwiseRow row;
        row.input = input + y * g_.strideH * width_ * g_.inChannels,
        row.pixelStep = std::int64_t(g_.strideW) * g_.inChannels;
        row.places = runs_.data(), row.placeCount = int(runs_.size());
        row.weight = panel, row.output = r.output + y * pixels_ * g_.outChannels, row.outputStep = g_.outChannels;
        row.pixels = pixels_, row.channels = g_.outChannels, row.epilogue = epilogueAt(r, 0);
        r.kernels.depthwiseRow(row);
      });
      return;
    }
    // With few rows the parts are pieces of the row, or tiles of channels.
    const std::int64_t pieces = rows_ > 1 || !share ? 1 : std::min<std::int64_t>(16, (pixels_ + 31) / 32);
    const std::int64_t tiles = channelTiles(r),
                       splits = (pastCache() && rows_ > 1) || (share && rows_ * pieces == 1) ? tiles : 1;
    each(r, share, g_.groups * rows_ * pieces * splits, [&](std::int64_t item) {
      const std::int64_t piece = item % pieces, y = item / pieces % rows_, split = item / pieces / rows_ % splits,
                         group = item / pieces / rows_ / splits;
      const std::int64_t first = pixels_ * piece / pieces, last = pixels_ * (piece + 1) / pieces;
      ChannelRow row = channelRow(r, panel, input + y * g_.strideH * width_ * g_.inChannels, group, y);
      row.input += first * row.pixelStep, row.output += first * row.outputStep, row.pixels = int(last - first);
      row.firstTile = int(tiles * split / splits), row.lastTile = int(tiles * (split + 1) / splits);
      r.kernels.channelRow(row);
    });
  }

  // Pixels of 16 images that are multiplied by all weights before the next ones: their inputs stay in the first cache.
  int chunkPixels(const Kernels& kernels) const {
    const int most = int(24 * 1024 / (inGroup_ * kBlock * std::int64_t(sizeof(float))));
    return most >= 12 ? 12 : kernels.width == 16 ? 4 : 6;  // multiples of what kernels take at a time
  }

  void runImages(const Run& r, const float* input, const float* panel) const {
    std::call_once(placesMade_, [&] { makePlaces(); });
    const std::int64_t inPlane = height_ * width_ * kBlock, most = oneRow_ ? chunkPixels(r.kernels) : pixels_;
    const std::int64_t chunks = (pixels_ + most - 1) / most;
    each(r, worthSharing(r), g_.groups * rows_ * chunks, [&](std::int64_t item) {
      const std::int64_t y = item / chunks % rows_, group = item / chunks / rows_;
      const int first = int(pixels_ * (item % chunks) / chunks), last = int(pixels_ * (item % chunks + 1) / chunks);
      ImageRow row = imageRow(r, input + group * inGroup_ * inPlane, group * outGroup_, y, first);
      row.pixels = last - first;
      row.places = places_.data(), row.placeCount = int(places_.size());
      row.panel = panel + group * groupPanel(Layout::kLanes), row.channels = int(outGroup_);
      r.kernels.imageRow(row);
    });
  }

  // The rest of row y from a pixel on; input: of the group's first plane.
  ImageRow imageRow(const Run& r, const float* input, std::int64_t channel, std::int64_t y, int pixel) const {
    const std::int64_t outPlane = std::int64_t(rows_) * pixels_ * kBlock;
    ImageRow row;
    row.pixelStep = std::int64_t(g_.strideW) * kBlock;
    row.input = input + y * g_.strideH * width_ * kBlock + pixel * row.pixelStep;
    row.output = r.output + channel * outPlane + (y * pixels_ + pixel) * kBlock, row.channelStep = outPlane;
    row.pixels = pixels_ - pixel, row.epilogue = epilogueAt(r, channel);
    return row;
  }

  // Depthwise, 16 images: one plane after another, whose border goes to memory that stays in the first cache.
  void runPlanes(const Run& r, const float* panel) const {
    std::call_once(placesMade_, [&] { makePlaces(); });
    const Planes in = planesOf(g_.input(), r.layout);
    const std::int64_t plane = in.height * in.width * in.inner, padded = height_ * width_ * kBlock;
    const std::int64_t workers = worthSharing(r) ? std::min<std::int64_t>(r.parallel.threads, in.outer) : 1;
    r.parallel.ranges(in.outer, workers, [&](std::int64_t c, std::int64_t last) {
      float* const own = r.scratch + c * padded;
      for (; c < last; c++) {
        const float* input = r.inputs[0] + c * plane;
        if (isPadded_) padPlane(in, input, own), input = own;
        for (int y = 0; y < rows_; y++) {
          ImageRow row = imageRow(r, input, c, y, 0);
          row.places = places_.data(), row.placeCount = int(places_.size());
          row.panel = panel + c * groupPanel(Layout::kLanes), row.channels = 1;
          r.kernels.imageRow(row);
        }
      }
    });
  }

  // Weights of one block of terms and some output channels, [terms][channels], terms in the order of `offsets`.
  void unpackBlock(const TermBlock& b, bool images, std::int64_t channel, int count, int width, float* panel) const {
    const std::int64_t places = std::int64_t(g_.kernelHeight) * g_.kernelWidth;
    float values[kBlockTerms];
    if (count < width) std::fill_n(panel, b.terms() * width, 0.0f);
    for (int c = 0; c < count; c++) {
      weights_.unpack(channel + c, b.firstInput * places + b.firstPlace, b.terms(), values);
      for (std::int64_t i = 0; i < b.inputs; i++)
        for (std::int64_t p = 0; p < b.places; p++)
          panel[(images ? i * b.places + p : p * b.inputs + i) * width + c] = values[i * b.places + p];
    }
  }
  // Where the terms of a block lie: single ones (kLanes), or runs of b.inputs neighbours (kNhwc).
  void offsetsOf(const TermBlock& b, bool images, std::int64_t* offsets) const {
    for (std::int64_t p = 0; p < b.places; p++) {
      const std::int64_t place = placeAt(b.firstPlace + p);
      if (!images) offsets[p] = place * g_.inChannels + b.firstInput;
      for (std::int64_t i = 0; images && i < b.inputs; i++)
        offsets[i * b.places + p] = ((b.firstInput + i) * height_ * width_ + place) * kBlock;
    }
  }

  // Weights stay packed: some output channels and terms at a time are unpacked, and added to all pixels.
  void runBlocks(const Run& r, const float* input) const {
    const bool images = r.layout == Layout::kLanes;
    const int most = images ? r.kernels.tileChannels : std::min(16, r.kernels.tileVectors * r.kernels.width);
    float* const panel = r.scratch + runFloats(r.layout);
    for (std::int64_t channel = 0; channel < g_.outChannels;) {
      const std::int64_t group = channel / outGroup_;
      const int count = int(std::min<std::int64_t>(most, (group + 1) * outGroup_ - channel));
      const int width = images ? count : int(roundUp(count, r.kernels.width));
      for (std::size_t b = 0; b < blocks_.size(); b++) {
        const TermBlock& block = blocks_[b];
        std::int64_t offsets[kBlockTerms];
        offsetsOf(block, images, offsets);
        unpackBlock(block, images, channel, count, width, panel);
        const double work = double(block.terms()) * count * rows_ * pixels_ * imagesOf(r.layout);
        each(r, r.parallel.threads > 1 && work > kWorthSharing.multiplications, rows_, [&](std::int64_t y) {
          if (images) addImages(r, input, {panel, offsets, &block, channel, count, b == 0, b + 1 == blocks_.size()}, y);
          else addChannels(r, input, {panel, offsets, &block, channel, count, b == 0, b + 1 == blocks_.size()}, y);
        });
      }
      channel += count;
    }
  }

  struct Unpacked {
    const float* panel;
    const std::int64_t* offsets;
    const TermBlock* block;
    std::int64_t channel;
    int count;
    bool first, last;
  };
  void addImages(const Run& r, const float* input, const Unpacked& u, std::int64_t y) const {
    const std::int64_t group = u.channel / outGroup_;
    ImageRow row = imageRow(r, input + group * inGroup_ * height_ * width_ * kBlock, u.channel, y, 0);
    row.places = u.offsets, row.placeCount = int(u.block->terms());
    row.panel = u.panel, row.channels = u.count, row.accumulate = !u.first;
    if (!u.last) row.epilogue = {};
    r.kernels.imageRow(row);
  }
  void addChannels(const Run& r, const float* input, const Unpacked& u, std::int64_t y) const {
    ChannelRow row;
    row.pixelStep = std::int64_t(g_.strideW) * g_.inChannels;
    row.input = input + y * g_.strideH * width_ * g_.inChannels + u.channel / outGroup_ * inGroup_;
    row.runs = u.offsets, row.runCount = int(u.block->places), row.runLength = int(u.block->inputs);
    row.panel = u.panel, row.output = r.output + y * pixels_ * g_.outChannels + u.channel;
    row.outputStep = g_.outChannels, row.pixels = pixels_, row.channels = u.count;
    row.lastTile = 1, row.accumulate = !u.first;
    if (u.last) row.epilogue = epilogueAt(r, u.channel);
    r.kernels.channelRow(row);
  }

  Conv2dGeometry g_;
  Weights weights_;
  Epilogue epilogue_;
  bool keep_, depthwise_ = false, isPadded_ = false, oneRow_ = false;
  std::int64_t inGroup_ = 1, outGroup_ = 1, height_ = 1, width_ = 1, runLength_ = 1;
  int rows_ = 1, pixels_ = 1, width16_ = 8;
  std::vector<TermBlock> blocks_;
  std::vector<std::int64_t> runs_;
  mutable std::vector<std::int64_t> places_;
  mutable std::once_flag placesMade_;
  Panel panels_[2];
  std::optional<Winograd> winograd_[2];  // by layout
};

}  // namespace

std::unique_ptr<Step> makeConvolution(const Preparation& p, const Conv2dGeometry& geometry, Weights weights) {
  return std::make_unique<Convolution>(p, geometry, std::move(weights));
}

}  // namespace selfcompress::engine
