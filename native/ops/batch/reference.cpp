#include <vector>

#include "reference/reference_backend.h"

namespace selfcompress {
namespace {

// Raw values of an image at its position of the batch, in its own colours.
std::vector<double> rawImage(const GatherImages& a, int n) {
  const auto elements = std::size_t(a.shape.elements()), pixels = std::size_t(a.shape.pixels());
  const std::size_t first = std::size_t(a.indices[n]) * elements;
  std::vector<double> image(elements);
  for (std::size_t i = 0; i < elements; i++)
    image[i] = a.bytes ? a.bytes[first + i] / 255.0 : double(a.floats[first + i]);
  if (!a.counter || a.augmentation.colour <= 0) return image;
  const ColourFactors f = colourFactors(a.augmentation, a.counter, n);
  auto clip = [](double x) { return x < 0 ? 0.0 : x > 1 ? 1.0 : x; };
  auto grey = [&](std::size_t p) {
    if (a.shape.channels == 1) return image[p];
    return double(0.2989f) * image[p] + double(0.587f) * image[pixels + p] + double(0.114f) * image[2 * pixels + p];
  };
  auto blendAll = [&](std::size_t p, double other, double factor) {
    for (std::size_t i = p; i < elements; i += pixels) image[i] = clip(factor * image[i] + (1 - factor) * other);
  };
  for (std::size_t p = 0; p < pixels; p++) blendAll(p, 0, double(f.brightness));
  double mean = 0;
  for (std::size_t p = 0; p < pixels; p++) mean += grey(p) / double(pixels);
  for (std::size_t p = 0; p < pixels; p++) blendAll(p, mean, double(f.contrast));
  for (std::size_t p = 0; p < pixels; p++) blendAll(p, grey(p), double(f.saturation));
  return image;
}

double rawPixel(const std::vector<double>& image, Shape s, int c, int row, int column) {
  if (row < 0 || row >= s.height || column < 0 || column >= s.width) return 0;
  return image[(std::size_t(c) * s.height + row) * s.width + column];
}

// Raw value at a place between pixels.
double interpolated(const std::vector<double>& image, Shape s, int c, Place place) {
  double sum = 0;
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++) {
      const double y = beyondPixel(place.y), x = beyondPixel(place.x), weight = (i ? y : 1 - y) * (j ? x : 1 - x);
      if (weight != 0) sum += weight * rawPixel(image, s, c, pixelAt(place.y) + i, pixelAt(place.x) + j);
    }
  return sum;
}

// The image at a position of the batch, augmented but not mixed: [C][H][W], normalised.
std::vector<double> augmented(const GatherImages& a, int n) {
  const Shape s = a.shape;
  std::vector<double> result(std::size_t(s.elements()), 0.0);
  if (n >= a.batch || a.indices[n] < 0) return result;
  const std::vector<double> image = rawImage(a, n);
  const ImageTransform t = imageTransform(a.augmentation, s, a.counter, n);
  std::size_t at = 0;
  for (int c = 0; c < s.channels; c++)
    for (int y = 0; y < s.height; y++)
      for (int x = 0; x < s.width; x++, at++) {
        if (y >= t.cutTop && y < t.cutBottom && x >= t.cutLeft && x < t.cutRight) continue;
        const int column = x + t.shiftX;
        const double raw = t.isAffine ? interpolated(image, s, c, placeOf(t, s, y, x))
                                      : rawPixel(image, s, c, y + t.shiftY, t.flip ? s.width - 1 - column : column);
        result[at] = (raw - double(a.mean[c])) * double(a.invStd[c]);
      }
  return result;
}

}  // namespace

void ReferenceBackend::run(const GatherImages& a) {
  const Shape s = a.shape;
  for (int n = 0; n < blocksOf(a.batch) * kLanes; n++) {
    std::vector<double> image = augmented(a, n);
    const Mixing m = n < a.batch ? mixingOf(a.augmentation, s, a.counter, n, a.batch) : Mixing{};
    if (m.partner >= 0 && a.indices[n] >= 0) {
      const std::vector<double> other = augmented(a, m.partner);
      for (std::size_t i = 0; i < image.size(); i++) {
        const int x = int(i) % s.width, y = int(i) / s.width % s.height;
        if (m.pastes) image[i] = isPasted(m, y, x) ? other[i] : image[i];
        else image[i] = double(m.share) * image[i] + (1 - double(m.share)) * other[i];
      }
    }
    std::size_t at = 0;
    for (int c = 0; c < s.channels; c++)
      for (int y = 0; y < s.height; y++)
        for (int x = 0; x < s.width; x++) a.output[laneOffset(s, n, c, y, x)] = float(image[at++]);
  }
}

void ReferenceBackend::run(const ToLanes& a) {
  for (int n = 0; n < blocksOf(a.batch) * kLanes; n++)
    for (int i = 0; i < int(a.shape.elements()); i++)
      a.lanes[laneOffset({int(a.shape.elements()), 1, 1}, n, i, 0, 0)] =
          n < a.batch ? a.plain[std::size_t(n) * a.shape.elements() + i] : 0.0f;
}

void ReferenceBackend::run(const FromLanes& a) {
  for (int n = 0; n < a.batch; n++)
    for (int i = 0; i < int(a.shape.elements()); i++)
      a.plain[std::size_t(n) * a.shape.elements() + i] =
          a.lanes[laneOffset({int(a.shape.elements()), 1, 1}, n, i, 0, 0)];
}

}  // namespace selfcompress
