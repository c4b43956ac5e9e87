// Personal resources: loaded and unloaded one after the other, in the order in which the loader asks, beside the calls.
#pragma once

#include <utility>

#include "once.h"

class Resources {
 public:
  explicit Resources(Host &host) : host_(host) {}

  void put(frames::Frame frame) { frames_.put(std::move(frame)); }

  // What their one thread does, for ever.
  void serve() {
    for (;;) {
      const frames::Frame frame = frames_.take();
      const Activity::Part part(host_.activity);
      if (host_.isStopping) continue;
      try {
        run(frame);
        host_.channel.send(frames::kDone, frame.callId);
      } catch (...) {
        host_.sendFailure(frame.callId);
      }
    }
  }

 private:
  void run(const frames::Frame &frame) const {
    const Library &library = host_.library;
    frames::Reader reader(frame.body);
    const uint32_t id = reader.u32();
    if (frame.kind == frames::kUnloadResource) {
      library.check("wrapperUnloadRes", library.unloadRes(id));
      return;
    }
    const std::vector<frames::Part> parts = reader.parts();
    Lists lists;
    library.check("wrapperLoadRes", library.loadRes(lists.resource(parts), id));
  }

  Host &host_;
  Queue<frames::Frame> frames_;
};
