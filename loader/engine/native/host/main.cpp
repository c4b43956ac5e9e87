// The process in which a wrapper library computes: started by the loader, one loaded model for many threads.
#include <sys/socket.h>
#include <sys/un.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <thread>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "resources.h"
#include "session.h"

namespace {

// How long calls and sessions may take to end before wrapperFini is called in their midst.
constexpr auto kStopGrace = std::chrono::milliseconds(1000);

int connectTo(const char *path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(socket, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) std::exit(1);
  return socket;
}

std::string bodyOf(const std::string &text) {
  std::string body;
  frames::putText(body, text);
  return body;
}

std::unique_ptr<Library> load(const frames::Map &config) {
  auto library = std::make_unique<Library>(config.at("library"));
  library->warn("wrapperSetCtrl", library->setCtrl(CTMeterCustom, reinterpret_cast<void *>(onMeter)));
  library->warn("wrapperSetCtrl", library->setCtrl(CTMetricsLog, reinterpret_cast<void *>(onMeter)));
  library->warn("wrapperSetCtrl", library->setCtrl(CTTraceLog, reinterpret_cast<void *>(onTrace)));
  frames::Map settings;
  for (const auto &[key, value] : config) {
    if (key.rfind("config.", 0) == 0) settings[key.substr(7)] = value;
  }
  Lists lists;
  library->check("wrapperInit", library->init(lists.params(settings)));
  return library;
}

/** A wrapper that computes without a pause would not see that the loader has gone: the kernel ends it then. */
void endWithParent() {
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

void serve(frames::Channel &channel, Host &host, int threads) {
  // Their threads never end, so neither do they.
  auto &calls = *new OnceCalls(host);
  auto &resources = *new Resources(host);
  auto &sessions = *new Sessions(host);
  for (int left = threads; left > 0; --left) std::thread([&] { calls.serve(); }).detach();
  std::thread([&] { resources.serve(); }).detach();
  std::thread([&] { sessions.watch(); }).detach();
  channel.send(frames::kReady, 0, bodyOf(""));

  frames::Frame frame;
  while (channel.receive(frame) && frame.kind != frames::kStop) {
    switch (frame.kind) {
      case frames::kExec:
        calls.put(std::move(frame));
        break;
      case frames::kCreate:
        sessions.create(frame);
        break;
      case frames::kWrite:
        sessions.write(std::move(frame));
        break;
      case frames::kTaken:
        sessions.taken(frame);
        break;
      case frames::kCancel:
        sessions.cancel(frame.callId);
        break;
      case frames::kLoadResource:
      case frames::kUnloadResource:
        resources.put(std::move(frame));
        break;
      case frames::kPing:
        channel.send(frames::kPong, frame.callId);
        break;
    }
  }
  host.isStopping = true;
  sessions.cancelAll();
  host.activity.untilIdle(kStopGrace);
}

}  // namespace

int main() {
  endWithParent();
  // What the library prints is told line by line, not when a buffer is full.
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  auto &channel = *new frames::Channel(connectTo(std::getenv("ATHENA_ENGINE_SOCKET")));
  notes = &channel;
  channel.send(frames::kHello, 0, bodyOf(std::getenv("ATHENA_ENGINE_TOKEN")));

  frames::Frame frame;
  if (!channel.receive(frame) || frame.kind != frames::kInit) return 1;
  const frames::Map config = frames::Reader(frame.body).map();
  channel.maxFrameBytes = std::stoull(config.at("maxFrameBytes"));
  std::unique_ptr<Library> library;
  try {
    library = load(config);
    channel.send(frames::kProgress, 0, bodyOf("wrapperVersion: " + textOrNothing(library->version())));
  } catch (...) {
    channel.send(frames::kFailed, 0, failureOfException());
    return 1;
  }
  auto &host = *new Host(channel, *library, config.at("async") == "true");
  serve(channel, host, std::stoi(config.at("threads")));
  try {
    library->warn("wrapperFini", library->fini());
  } catch (...) {
    std::cerr << "wrapperFini threw" << std::endl;
  }
  std::cout.flush();
#ifdef __SANITIZE_ADDRESS__
  __lsan_do_leak_check();
#endif
  // Threads of user code may never end by themselves.
  _exit(0);
}
