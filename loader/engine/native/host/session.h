// Stream sessions.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "once.h"

constexpr auto kReadPause = std::chrono::milliseconds(50);
constexpr int kMaxEmptyReads = 100;
// Results that may be sent ahead of their reader.
constexpr uint64_t kMaxAhead = 256;
// Long before the loader ends a process whose session does not end.
constexpr auto kStuckAfter = std::chrono::milliseconds(500);

// One session, in a thread of its own: create, write, read and destroy in order and never two at once.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Host &host, uint32_t callId, frames::Request request)
      : host_(host), callId_(callId), request_(std::move(request)), tag_(request_.sid) {}

  void start() {
    std::thread([self = shared_from_this()] { self->run(); }).detach();
  }

  // The next chunk.
  void put(std::string body) { input_.put(std::move(body)); }

  // Nobody waits any more: chunks that are still queued are not for the wrapper.
  void cancel() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      isCancelled_ = true;
    }
    hasRoom_.notify_all();
    input_.put(std::nullopt);
  }

  // So many results have been read.
  void taken(uint32_t count) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      room_ += count;
    }
    hasRoom_.notify_all();
  }

  // Says what the session is at, in the library's own words where it has a handle.
  void describe() {
    std::lock_guard<std::mutex> lock(handleMutex_);
    std::cerr << "session " << request_.sid << " does not end";
    try {
      if (handle_ != nullptr) std::cerr << ", wrapperDebugInfo: " << textOrNothing(host_.library.debugInfo(handle_));
    } catch (...) {
      std::cerr << ", wrapperDebugInfo threw";
    }
    std::cerr << std::endl;
  }

 private:
  void run() {
    const Activity::Part part(host_.activity);
    try {
      if (host_.isAsync) {
        receivers.add(request_.sid, [self = weak_from_this()](const DataList *list, int code) {
          if (auto session = self.lock()) session->deliver(resultFrom(list, session->request_.expects), code);
        });
        isReceiving_ = true;
      }
      create();
      takeInput();
    } catch (...) {
      finish(frames::kFailed, failureOfException());
    }
    if (isReceiving_) receivers.remove(request_.sid);
    destroy();
    std::lock_guard<std::mutex> lock(mutex_);
    isOver_ = true;
    host_.channel.send(frames::kDone, callId_);
  }

  void create() {
    request_.parameters.emplace("sid", request_.sid);
    Lists lists;
    int code = 0;
    const void *handle =
        host_.library.create(tag_.get(), lists.params(request_.parameters), host_.isAsync ? onResult : nullptr,
                             request_.ids(), request_.idCount(), &code);
    host_.library.check("wrapperCreate", code);
    if (handle == nullptr) throw WrapperFailed(0, "wrapperCreate returned no handle");
    setHandle(handle);
  }

  void destroy() {
    // From here on nobody else asks the library about it.
    const void *handle = setHandle(nullptr);
    if (handle == nullptr) return;
    try {
      host_.library.warn("wrapperDestroy", host_.library.destroy(handle));
    } catch (...) {
      std::cerr << "wrapperDestroy threw" << std::endl;
    }
  }

  void takeInput() {
    for (DataStatus place = DataBegin;; place = DataContinue) {
      const std::optional<std::string> body = input_.take();
      if (!body.has_value() || isCancelled_) return;
      frames::Reader reader(*body);
      const bool isLast = reader.u8() == 1;
      const std::vector<frames::Part> parts = reader.parts();
      Lists lists;
      DataList *data = lists.data(parts, isLast ? DataEnd : place);
      host_.library.check("wrapperWrite", host_.library.write(handle_, data));
      host_.channel.send(frames::kAck, callId_);
      if (!host_.isAsync) read(isLast);
    }
  }

  void read(bool isLast) {
    for (int empty = 0; !isOver() && !isCancelled_;) {
      DataList *list = nullptr;
      host_.library.check("wrapperRead", host_.library.read(handle_, &list));
      const Result result = resultFrom(list, request_.expects);
      const bool isEmpty = result.isEmpty();
      deliver(result, 0);
      if (!isLast) return;
      empty = isEmpty ? empty + 1 : 0;
      if (empty == kMaxEmptyReads) throw WrapperFailed(0, "wrapperRead gave no last result");
      if (isEmpty) std::this_thread::sleep_for(kReadPause);
    }
  }

  void deliver(const Result &result, int code) {
    if (code != 0) {
      finish(frames::kFailed, frames::failure(code, host_.library.failed("the callback", code).what()));
      cancel();
      return;
    }
    if (result.isEmpty()) return;
    const std::string body = frames::result(result.status, result.parts);
    if (!host_.channel.takes(body)) {
      finish(frames::kFailed, frames::failure(0, host_.tooLarge().what()));
      cancel();
      return;
    }
    if (result.status >= DataEnd) {
      finish(frames::kResult, body);
      // The wrapper is done: its session is destroyed without waiting for the loader to say so.
      cancel();
      return;
    }
    std::unique_lock<std::mutex> lock(mutex_);
    // A slow reader stops the library that makes them; one that is gone does not.
    hasRoom_.wait(lock, [this] { return room_ > 0 || isOver_ || isCancelled_; });
    if (isOver_ || isCancelled_) return;
    --room_;
    host_.channel.send(frames::kResult, callId_, body);
  }

  void finish(uint8_t kind, const std::string &body) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (isOver_) return;
    isOver_ = true;
    host_.channel.send(kind, callId_, body);
    hasRoom_.notify_all();
  }

  bool isOver() {
    std::lock_guard<std::mutex> lock(mutex_);
    return isOver_;
  }

  const void *setHandle(const void *handle) {
    std::lock_guard<std::mutex> lock(handleMutex_);
    return std::exchange(handle_, handle);
  }

  Host &host_;
  const uint32_t callId_;
  frames::Request request_;
  const Tag tag_;
  Queue<std::optional<std::string>> input_;
  std::atomic<bool> isCancelled_{false};
  bool isReceiving_ = false;
  // Results come from any thread, and none may follow the last.
  std::mutex mutex_;
  bool isOver_ = false;
  std::condition_variable hasRoom_;
  uint64_t room_ = kMaxAhead;
  std::mutex handleMutex_;
  const void *handle_ = nullptr;
};

// The sessions that are under way, by their calls.
class Sessions {
 public:
  explicit Sessions(Host &host) : host_(host) {}

  void create(const frames::Frame &frame) {
    for (auto it = sessions_.begin(); it != sessions_.end();) it = it->second.expired() ? sessions_.erase(it) : ++it;
    try {
      auto session = std::make_shared<Session>(host_, frame.callId, frames::Reader(frame.body).request());
      session->start();
      sessions_[frame.callId] = session;
    } catch (...) {
      // No thread could be started for it.
      host_.sendFailure(frame.callId);
      host_.channel.send(frames::kDone, frame.callId);
    }
  }

  void write(frames::Frame frame) {
    if (const auto session = find(frame.callId)) session->put(std::move(frame.body));
  }

  void taken(const frames::Frame &frame) {
    if (const auto session = find(frame.callId)) session->taken(frames::Reader(frame.body).u32());
  }

  void cancel(uint32_t callId) {
    const auto session = find(callId);
    if (session == nullptr) return;
    session->cancel();
    cancelled_.put({std::chrono::steady_clock::now() + kStuckAfter, session});
  }

  void cancelAll() {
    for (const auto &entry : sessions_) {
      if (const auto session = entry.second.lock()) session->cancel();
    }
  }

  // What one thread does, for ever: it describes sessions that go on though nobody waits for them.
  void watch() {
    for (;;) {
      const auto [since, session] = cancelled_.take();
      std::this_thread::sleep_until(since);
      if (const auto stuck = session.lock()) stuck->describe();
    }
  }

 private:
  std::shared_ptr<Session> find(uint32_t callId) {
    const auto found = sessions_.find(callId);
    return found == sessions_.end() ? nullptr : found->second.lock();
  }

  Host &host_;
  std::map<uint32_t, std::weak_ptr<Session>> sessions_;
  Queue<std::pair<std::chrono::steady_clock::time_point, std::weak_ptr<Session>>> cancelled_;
};
