#include "program/recorded_steps.h"

namespace selfcompress {

void RecordedSteps::run(const StepKey& key, const std::function<void()>& queueOperations) {
  if (!enabled_) return queueOperations();
  if (steps_.size() >= kMost && !steps_.count(key)) {
    backend_.synchronize();  // a recording in use may not be destroyed
    steps_.clear();
  }
  Step& step = steps_[key];
  if (step.ran && !step.recording) step.recording = record(queueOperations);
  if (step.recording) {
    backend_.replay(*step.recording);
    replays_++;
    return;
  }
  queueOperations();
  step.ran = true;
}

// nullptr: the backend does not record.
std::unique_ptr<Recording> RecordedSteps::record(const std::function<void()>& queueOperations) {
  if (!backend_.beginRecording()) {
    enabled_ = false;
    return nullptr;
  }
  try {
    queueOperations();
    return backend_.endRecording();
  } catch (...) {
    backend_.cancelRecording();
    throw;
  }
}

}  // namespace selfcompress
