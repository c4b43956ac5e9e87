// The messages between loader and worker; ../../host/README.md has the format.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace frames {

enum Kind : uint8_t {
  kInit = 1,
  kExec = 2,
  kCreate = 3,
  kWrite = 4,
  kCancel = 5,
  kLoadResource = 6,
  kUnloadResource = 7,
  kStop = 8,
  kPing = 9,
  kTaken = 11,
  kHello = 64,
  kProgress = 65,
  kReady = 66,
  kResult = 67,
  kDone = 68,
  kFailed = 69,
  kPong = 70,
  kAck = 71,
  kMeter = 72,
  kTrace = 73,
};

using Map = std::map<std::string, std::string>;

struct Part {
  std::string name;
  uint8_t type;
  Map attributes;
  std::string data;
};

struct Request {
  std::string sid;
  Map parameters;
  std::map<std::string, uint8_t> expects;
  std::vector<Part> parts;
  std::vector<uint32_t> resourceIds;

  // As libraries take them: no array where there are none.
  uint32_t *ids() { return resourceIds.empty() ? nullptr : resourceIds.data(); }
  int idCount() const { return static_cast<int>(resourceIds.size()); }
};

struct Frame {
  uint8_t kind;
  uint32_t callId;
  std::string body;
};

// Reads one frame's body from its start to its end.
class Reader {
 public:
  explicit Reader(const std::string &body) : body_(body) {}

  uint8_t u8() { return static_cast<uint8_t>(body_[take(1)]); }

  uint32_t u32() {
    uint32_t value;
    std::memcpy(&value, body_.data() + take(4), 4);
    return value;
  }

  std::string bytes() {
    const uint32_t size = u32();
    return body_.substr(take(size), size);
  }

  Map map() {
    Map result;
    for (uint32_t left = u32(); left > 0; --left) {
      std::string key = bytes();
      result[std::move(key)] = bytes();
    }
    return result;
  }

  std::vector<Part> parts() {
    std::vector<Part> result;
    for (uint32_t left = u32(); left > 0; --left) {
      Part part;
      part.name = bytes();
      part.type = u8();
      part.attributes = map();
      part.data = bytes();
      result.push_back(std::move(part));
    }
    return result;
  }

  Request request() {
    Request result;
    result.sid = bytes();
    map();  // the caller's headers, which the interface has no place for
    result.parameters = map();
    for (uint32_t left = u32(); left > 0; --left) {
      std::string name = bytes();
      result.expects[std::move(name)] = u8();
      map();
    }
    result.parts = parts();
    for (uint32_t left = u32(); left > 0; --left) result.resourceIds.push_back(u32());
    return result;
  }

 private:
  size_t take(size_t size) {
    if (size > body_.size() - at_) throw std::runtime_error("a frame ends too early");
    at_ += size;
    return at_ - size;
  }

  const std::string &body_;
  size_t at_ = 0;
};

inline void putU32(std::string &out, uint32_t value) { out.append(reinterpret_cast<const char *>(&value), 4); }

inline void putText(std::string &out, const std::string &text) {
  putU32(out, static_cast<uint32_t>(text.size()));
  out += text;
}

inline std::string result(uint8_t status, const std::vector<Part> &parts) {
  std::string out(1, static_cast<char>(status));
  putU32(out, static_cast<uint32_t>(parts.size()));
  for (const Part &part : parts) {
    putText(out, part.name);
    out += static_cast<char>(part.type);
    putU32(out, static_cast<uint32_t>(part.attributes.size()));
    for (const auto &[key, value] : part.attributes) {
      putText(out, key);
      putText(out, value);
    }
    putText(out, part.data);
  }
  return out;
}

inline std::string failure(int32_t code, const std::string &message) {
  std::string out;
  putText(out, "ENGINE_FAILED");
  putU32(out, static_cast<uint32_t>(code));
  putText(out, message);
  return out;
}

// The socket to the loader. Frames may be sent from any thread.
class Channel {
 public:
  explicit Channel(int socket) : socket_(socket) {}

  void send(uint8_t kind, uint32_t callId, const std::string &body = {}) {
    std::string bytes;
    bytes.reserve(body.size() + 9);
    putU32(bytes, static_cast<uint32_t>(body.size() + 5));
    bytes += static_cast<char>(kind);
    putU32(bytes, callId);
    bytes += body;
    std::lock_guard<std::mutex> lock(mutex_);
    for (size_t sent = 0; sent < bytes.size();) {
      const ssize_t written = ::write(socket_, bytes.data() + sent, bytes.size() - sent);
      if (written < 0 && errno == EINTR) continue;
      // Without its loader the process is of no use.
      if (written <= 0) _exit(1);
      sent += static_cast<size_t>(written);
    }
  }

  // Whether the loader takes a frame with this body: it ends a process that sends a larger one, with all of its calls.
  bool takes(const std::string &body) const { return body.size() + 9 <= maxFrameBytes; }

  size_t maxFrameBytes = 1 << 28;

  // False when the loader is gone.
  bool receive(Frame &frame) {
    char head[9];
    if (!readAll(head, sizeof head)) return false;
    uint32_t size;
    std::memcpy(&size, head, 4);
    frame.kind = static_cast<uint8_t>(head[4]);
    std::memcpy(&frame.callId, head + 5, 4);
    frame.body.resize(size - 5);
    return readAll(frame.body.data(), frame.body.size());
  }

 private:
  bool readAll(char *into, size_t size) {
    for (size_t done = 0; done < size;) {
      const ssize_t got = ::read(socket_, into + done, size - done);
      // A library may have handlers of signals.
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      done += static_cast<size_t>(got);
    }
    return true;
  }

  int socket_;
  std::mutex mutex_;
};

}  // namespace frames
