// What the library may call, from any thread and at any time: results, meters and traces.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "frames.h"
#include "library.h"

// The tag of one call. Libraries know from the predecessor, which never freed one, that they may keep the pointer; so the
// latest of those that are over stay as well.
class Tag {
 public:
  explicit Tag(const std::string &text) : text_(std::make_unique<std::string>(text)) {}
  Tag(const Tag &) = delete;
  Tag &operator=(const Tag &) = delete;

  ~Tag() {
    static std::mutex mutex;
    static auto &kept = *new std::deque<std::unique_ptr<std::string>>;
    static size_t bytes = 0;
    std::lock_guard<std::mutex> lock(mutex);
    bytes += text_->size();
    kept.push_back(std::move(text_));
    while (kept.size() > kMaxKept || bytes > kMaxKeptBytes) {
      bytes -= kept.front()->size();
      kept.pop_front();
    }
  }

  const char *get() const { return text_->c_str(); }

 private:
  static constexpr size_t kMaxKept = 4096;
  static constexpr size_t kMaxKeptBytes = 1 << 20;

  std::unique_ptr<std::string> text_;
};

// Where results, which come with a tag only, find the calls that they belong to.
class Receivers {
 public:
  using Receive = std::function<void(const DataList *, int)>;

  void add(const std::string &tag, Receive receive) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!receivers_.emplace(tag, std::make_shared<Receive>(std::move(receive))).second) {
      throw WrapperFailed(0, "the tag is in use");
    }
  }

  void remove(const std::string &tag) {
    std::lock_guard<std::mutex> lock(mutex_);
    receivers_.erase(tag);
  }

  // -1 when nobody waits for this tag any more, or ever did.
  int deliver(const void *tag, const DataList *data, int code) {
    if (tag == nullptr) return -1;
    std::shared_ptr<Receive> receive;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      const auto found = receivers_.find(static_cast<const char *>(tag));
      if (found == receivers_.end()) return -1;
      receive = found->second;
    }
    (*receive)(data, code);
    return 0;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Receive>> receivers_;
};

// They live as long as the process: threads of the library may still call at its end.
inline Receivers &receivers = *new Receivers;
inline frames::Channel *notes = nullptr;

inline int onResult(const void *tag, DataList *data, int code) { return receivers.deliver(tag, data, code); }

inline std::string textOrNothing(const char *text) { return text == nullptr ? "" : text; }

inline int onMeter(const char *tag, const char *key, int count) {
  std::string body;
  frames::putText(body, textOrNothing(tag));
  frames::putText(body, textOrNothing(key));
  frames::putU32(body, static_cast<uint32_t>(count));
  notes->send(frames::kMeter, 0, body);
  return 0;
}

inline int onTrace(const char *tag, const char *key, const char *value) {
  std::string body;
  frames::putText(body, textOrNothing(tag));
  frames::putText(body, textOrNothing(key));
  frames::putText(body, textOrNothing(value));
  notes->send(frames::kTrace, 0, body);
  return 0;
}
