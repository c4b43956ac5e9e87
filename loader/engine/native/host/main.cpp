// The process in which a wrapper library computes: started by the loader, one loaded model for many threads.
#include <sys/socket.h>
#include <sys/un.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <queue>
#include <thread>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "library.h"

namespace {

constexpr auto kReadPause = std::chrono::milliseconds(50);
constexpr int kMaxEmptyReads = 100;

template <typename Item>
class Queue {
 public:
  void put(Item item) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      items_.push(std::move(item));
    }
    filled_.notify_one();
  }

  Item take() {
    std::unique_lock<std::mutex> lock(mutex_);
    filled_.wait(lock, [this] { return !items_.empty(); });
    Item item = std::move(items_.front());
    items_.pop();
    return item;
  }

 private:
  std::mutex mutex_;
  std::condition_variable filled_;
  std::queue<Item> items_;
};

// Where callbacks, which come from any thread with a tag only, find the calls that they belong to.
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

  int deliver(const void *tag, const DataList *data, int code) {
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

Receivers receivers;

int onResult(const void *tag, DataList *data, int code) { return receivers.deliver(tag, data, code); }

int onMeter(const char *tag, const char *key, int count) {
  std::cout << "meter sid=" << tag << ' ' << key << '=' << count << std::endl;
  return 0;
}

int onTrace(const char *tag, const char *key, const char *value) {
  std::cout << "trace sid=" << tag << ' ' << key << '=' << value << std::endl;
  return 0;
}

struct Host {
  frames::Channel &channel;
  const Library &library;
  bool isAsync;

  std::string once(frames::Request &request) const {
    request.parameters.emplace("sid", request.sid);
    Lists lists;
    ParamList *params = lists.params(request.parameters);
    DataList *data = lists.data(request.parts);
    unsigned int *ids = request.resourceIds.empty() ? nullptr : request.resourceIds.data();
    const int idCount = static_cast<int>(request.resourceIds.size());
    const Result result = isAsync ? onceAsync(request, params, data, ids, idCount)
                                  : onceSync(request, params, data, ids, idCount);
    if (result.parts.empty()) throw WrapperFailed(0, "the wrapper returned no data");
    return frames::result(DataOnce, result.parts);
  }

 private:
  Result onceSync(const frames::Request &request, ParamList *params, DataList *data, unsigned int *ids, int n) const {
    DataList *answer = nullptr;
    library.check("wrapperExec", library.exec(request.sid.c_str(), params, data, &answer, ids, n));
    Result result = resultFrom(answer, request.expects);
    library.execFree(request.sid.c_str(), &answer);
    return result;
  }

  Result onceAsync(const frames::Request &request, ParamList *params, DataList *data, unsigned int *ids, int n) const {
    // Shared: a callback may still be at it, or come a second time, when the first one's answer is on its way.
    auto answers = std::make_shared<Queue<std::pair<Result, int>>>();
    receivers.add(request.sid, [answers, expects = request.expects](const DataList *list, int code) {
      answers->put({resultFrom(list, expects), code});
    });
    const int code = library.execAsync(request.sid.c_str(), params, data, onResult, 0, ids, n);
    // The loader ends this process when the answer does not come in time.
    auto answer = code == 0 ? answers->take() : std::make_pair(Result{}, code);
    receivers.remove(request.sid);
    library.check("wrapperExecAsync", answer.second);
    return std::move(answer.first);
  }
};

// One stream session, in a thread of its own: create, write, read and destroy in order and never two at once.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(const Host &host, uint32_t callId, frames::Request request)
      : host_(host), callId_(callId), request_(std::move(request)) {}

  void start() {
    std::thread([self = shared_from_this()] { self->run(); }).detach();
  }

  // The next chunk.
  void put(std::string body) { input_.put(std::move(body)); }

  // Nobody waits any more: chunks that are still queued are not for the wrapper.
  void cancel() {
    isCancelled_ = true;
    input_.put(std::nullopt);
  }

 private:
  void run() {
    const void *handle = nullptr;
    try {
      if (host_.isAsync) {
        receivers.add(request_.sid, [self = weak_from_this()](const DataList *list, int code) {
          if (auto session = self.lock()) session->deliver(list, code);
        });
      }
      handle = create();
      takeInput(handle);
    } catch (const WrapperFailed &error) {
      finish(frames::kFailed, frames::failure(error.code, error.what()));
    } catch (const std::exception &error) {
      finish(frames::kFailed, frames::failure(0, error.what()));
    }
    if (host_.isAsync) receivers.remove(request_.sid);
    if (handle != nullptr) host_.library.destroy(handle);
    std::lock_guard<std::mutex> lock(mutex_);
    isOver_ = true;
    host_.channel.send(frames::kDone, callId_);
  }

  const void *create() {
    request_.parameters.emplace("sid", request_.sid);
    Lists lists;
    int code = 0;
    unsigned int *ids = request_.resourceIds.empty() ? nullptr : request_.resourceIds.data();
    const void *handle =
        host_.library.create(request_.sid.c_str(), lists.params(request_.parameters), host_.isAsync ? onResult : nullptr,
                             ids, static_cast<int>(request_.resourceIds.size()), &code);
    host_.library.check("wrapperCreate", code);
    if (handle == nullptr) throw WrapperFailed(0, "wrapperCreate returned no handle");
    return handle;
  }

  void takeInput(const void *handle) {
    for (;;) {
      const std::optional<std::string> body = input_.take();
      if (!body.has_value() || isCancelled_) return;
      frames::Reader reader(*body);
      const bool isLast = reader.u8() == 1;
      const std::vector<frames::Part> parts = reader.parts();
      Lists lists;
      host_.library.check("wrapperWrite", host_.library.write(handle, lists.data(parts)));
      host_.channel.send(frames::kAck, callId_);
      if (!host_.isAsync) read(handle, isLast);
    }
  }

  void read(const void *handle, bool isLast) {
    for (int empty = 0; !isOver() && !isCancelled_;) {
      DataList *list = nullptr;
      host_.library.check("wrapperRead", host_.library.read(handle, &list));
      if (list != nullptr) deliver(list, 0);
      if (!isLast) return;
      empty = list == nullptr ? empty + 1 : 0;
      if (empty == kMaxEmptyReads) throw WrapperFailed(0, "wrapperRead gave no last result");
      if (list == nullptr) std::this_thread::sleep_for(kReadPause);
    }
  }

  void deliver(const DataList *list, int code) {
    if (code != 0) {
      finish(frames::kFailed, frames::failure(code, host_.library.failed("the callback", code).what()));
      cancel();
      return;
    }
    const Result result = resultFrom(list, request_.expects);
    if (result.status >= DataEnd) {
      finish(frames::kResult, frames::result(result.status, result.parts));
      // The wrapper is done: its session is destroyed without waiting for the loader to say so.
      cancel();
      return;
    }
    std::lock_guard<std::mutex> lock(mutex_);
    if (!isOver_) host_.channel.send(frames::kResult, callId_, frames::result(result.status, result.parts));
  }

  void finish(uint8_t kind, const std::string &body = {}) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (isOver_) return;
    isOver_ = true;
    host_.channel.send(kind, callId_, body);
  }

  bool isOver() {
    std::lock_guard<std::mutex> lock(mutex_);
    return isOver_;
  }

  const Host &host_;
  const uint32_t callId_;
  frames::Request request_;
  Queue<std::optional<std::string>> input_;
  std::atomic<bool> isCancelled_{false};
  // Results come from any thread, and none may follow the last.
  std::mutex mutex_;
  bool isOver_ = false;
};

int connectTo(const char *path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(socket, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) std::exit(1);
  return socket;
}

std::unique_ptr<Library> load(const frames::Map &config) {
  auto library = std::make_unique<Library>(config.at("library"));
  library->setCtrl(CTMeterCustom, reinterpret_cast<void *>(onMeter));
  library->setCtrl(CTTraceLog, reinterpret_cast<void *>(onTrace));
  frames::Map settings;
  for (const auto &[key, value] : config) {
    if (key.rfind("config.", 0) == 0) settings[key.substr(7)] = value;
  }
  Lists lists;
  library->check("wrapperInit", library->init(lists.params(settings)));
  return library;
}

void serveOnce(const Host &host, Queue<frames::Frame> &calls) {
  for (;;) {
    const frames::Frame frame = calls.take();
    try {
      frames::Request request = frames::Reader(frame.body).request();
      host.channel.send(frames::kResult, frame.callId, host.once(request));
    } catch (const WrapperFailed &error) {
      host.channel.send(frames::kFailed, frame.callId, frames::failure(error.code, error.what()));
    } catch (const std::exception &error) {
      host.channel.send(frames::kFailed, frame.callId, frames::failure(0, error.what()));
    }
  }
}

/** A wrapper that computes without a pause would not see that the loader has gone: the kernel ends it then. */
void endWithParent() {
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

}  // namespace

int main() {
  endWithParent();
  frames::Channel channel(connectTo(std::getenv("ATHENA_ENGINE_SOCKET")));
  std::string hello;
  frames::putText(hello, std::getenv("ATHENA_ENGINE_TOKEN"));
  channel.send(frames::kHello, 0, hello);

  frames::Frame frame;
  if (!channel.receive(frame) || frame.kind != frames::kInit) return 1;
  const frames::Map config = frames::Reader(frame.body).map();
  std::unique_ptr<Library> library;
  try {
    library = load(config);
  } catch (const WrapperFailed &error) {
    channel.send(frames::kFailed, 0, frames::failure(error.code, error.what()));
    return 1;
  } catch (const std::exception &error) {
    channel.send(frames::kFailed, 0, frames::failure(0, error.what()));
    return 1;
  }
  const Host host{channel, *library, config.at("async") == "true"};
  Queue<frames::Frame> calls;
  for (int left = std::stoi(config.at("threads")); left > 0; --left) {
    std::thread([&] { serveOnce(host, calls); }).detach();
  }
  std::string ready;
  frames::putText(ready, "");
  channel.send(frames::kReady, 0, ready);

  std::map<uint32_t, std::weak_ptr<Session>> sessions;
  while (channel.receive(frame) && frame.kind != frames::kStop) {
    if (frame.kind == frames::kExec) {
      calls.put(std::move(frame));
    } else if (frame.kind == frames::kCreate) {
      for (auto it = sessions.begin(); it != sessions.end();) it = it->second.expired() ? sessions.erase(it) : ++it;
      auto session = std::make_shared<Session>(host, frame.callId, frames::Reader(frame.body).request());
      sessions[frame.callId] = session;
      session->start();
    } else if (frame.kind == frames::kWrite || frame.kind == frames::kCancel) {
      const auto found = sessions.find(frame.callId);
      const auto session = found == sessions.end() ? nullptr : found->second.lock();
      if (session == nullptr) continue;
      if (frame.kind == frames::kWrite) {
        session->put(std::move(frame.body));
      } else {
        session->cancel();
      }
    } else if (frame.kind == frames::kPing) {
      channel.send(frames::kPong, frame.callId);
    }
  }
  library->fini();
  std::cout.flush();
#ifdef __SANITIZE_ADDRESS__
  __lsan_do_leak_check();
#endif
  // Threads of user code may never end by themselves.
  _exit(0);
}
