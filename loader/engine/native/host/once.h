// Once-calls: each is computed by one of the host's threads.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "activity.h"
#include "callbacks.h"
#include "frames.h"
#include "library.h"
#include "queue.h"

struct Host {
  frames::Channel &channel;
  const Library &library;
  const bool isAsync;
  Activity activity;
  // Nothing new is begun any more.
  std::atomic<bool> isStopping{false};

  Host(frames::Channel &channel, const Library &library, bool isAsync)
      : channel(channel), library(library), isAsync(isAsync) {}

  WrapperFailed tooLarge() const {
    return WrapperFailed(0, "the answer is larger than " + std::to_string(channel.maxFrameBytes) + " bytes");
  }

  // Tells the loader why a call failed. Called where an exception has been caught.
  void sendFailure(uint32_t callId) { channel.send(frames::kFailed, callId, failureOfException()); }
};

class OnceCalls {
 public:
  explicit OnceCalls(Host &host) : host_(host) {}

  void put(frames::Frame frame) { frames_.put(std::move(frame)); }

  // What one thread does, for ever.
  void serve() {
    for (;;) {
      const frames::Frame frame = frames_.take();
      const Activity::Part part(host_.activity);
      if (host_.isStopping) continue;
      try {
        frames::Request request = frames::Reader(frame.body).request();
        const std::string body = answer(request);
        if (!host_.channel.takes(body)) throw host_.tooLarge();
        host_.channel.send(frames::kResult, frame.callId, body);
      } catch (...) {
        host_.sendFailure(frame.callId);
      }
    }
  }

 private:
  std::string answer(frames::Request &request) const {
    request.parameters.emplace("sid", request.sid);
    const Tag tag(request.sid);
    Lists lists;
    ParamList *params = lists.params(request.parameters);
    DataList *data = lists.data(request.parts, DataOnce);
    const Result result =
        host_.isAsync ? called(request, tag, params, data) : computed(request, tag, params, data);
    if (result.parts.empty()) throw WrapperFailed(0, "the wrapper returned no data");
    return frames::result(DataOnce, result.parts);
  }

  Result computed(frames::Request &request, const Tag &tag, ParamList *params, DataList *data) const {
    const Library &library = host_.library;
    DataList *list = nullptr;
    library.check("wrapperExec", library.exec(tag.get(), params, data, &list, request.ids(), request.idCount()));
    if (list == nullptr) return {};
    Result result = resultFrom(list, request.expects);
    library.warn("wrapperExecFree", library.execFree(tag.get(), &list));
    return result;
  }

  Result called(frames::Request &request, const Tag &tag, ParamList *params, DataList *data) const {
    // Shared: a callback may still be at it, or come a second time, when the first one's answer is on its way.
    auto answers = std::make_shared<Queue<std::pair<Result, int>>>();
    receivers.add(request.sid, [answers, expects = request.expects](const DataList *list, int code) {
      answers->put({resultFrom(list, expects), code});
    });
    std::pair<Result, int> answer;
    try {
      answer.second = host_.library.execAsync(tag.get(), params, data, onResult, 0, request.ids(), request.idCount());
      // The loader ends this process when the answer does not come in time.
      if (answer.second == 0) answer = answers->take();
    } catch (...) {
      receivers.remove(request.sid);
      throw;
    }
    receivers.remove(request.sid);
    host_.library.check("wrapperExecAsync", answer.second);
    return std::move(answer.first);
  }

  Host &host_;
  Queue<frames::Frame> frames_;
};
