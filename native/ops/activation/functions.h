// The activations and their derivatives in double precision (ops/activation.h).
#pragma once

#include "selfcompress/ops/activation.h"

namespace selfcompress {

double activationOf(Activation kind, double x, double alpha, double beta);
double activationSlope(Activation kind, double x, double alpha, double beta);

}  // namespace selfcompress
