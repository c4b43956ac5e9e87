// A wrapper library: its functions, and lists in its form made from parts and back.
#pragma once

#include <dlfcn.h>

#include <algorithm>
#include <deque>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "frames.h"
#include "wrapper_abi.h"

// The wrapper said no: its own code, and its own words for it.
struct WrapperFailed : std::runtime_error {
  WrapperFailed(int code, const std::string &message) : std::runtime_error(message), code(code) {}
  int code;
};

// The body of a FAILED frame for the exception that is being handled.
inline std::string failureOfException() {
  try {
    throw;
  } catch (const WrapperFailed &error) {
    return frames::failure(error.code, error.what());
  } catch (const std::exception &error) {
    return frames::failure(0, error.what());
  } catch (...) {
    return frames::failure(0, "the wrapper threw what is no std::exception");
  }
}

struct Library {
  WrapperSetCtrl setCtrl;
  WrapperInit init;
  WrapperFini fini;
  WrapperError error;
  WrapperVersion version;
  WrapperLoadRes loadRes;
  WrapperUnloadRes unloadRes;
  WrapperCreate create;
  WrapperWrite write;
  WrapperRead read;
  WrapperDestroy destroy;
  WrapperExec exec;
  WrapperExecFree execFree;
  WrapperExecAsync execAsync;
  WrapperDebugInfo debugInfo;

  explicit Library(const std::string &path) {
    void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) throw WrapperFailed(0, std::string("the library cannot be loaded: ") + dlerror());
    load(handle, "wrapperSetCtrl", setCtrl);
    load(handle, "wrapperInit", init);
    load(handle, "wrapperFini", fini);
    load(handle, "wrapperError", error);
    load(handle, "wrapperVersion", version);
    load(handle, "wrapperLoadRes", loadRes);
    load(handle, "wrapperUnloadRes", unloadRes);
    load(handle, "wrapperCreate", create);
    load(handle, "wrapperWrite", write);
    load(handle, "wrapperRead", read);
    load(handle, "wrapperDestroy", destroy);
    load(handle, "wrapperExec", exec);
    load(handle, "wrapperExecFree", execFree);
    load(handle, "wrapperExecAsync", execAsync);
    load(handle, "wrapperDebugInfo", debugInfo);
  }

  WrapperFailed failed(const char *what, int code) const {
    const char *words = error(code);
    return WrapperFailed(code, words == nullptr ? std::string(what) + " returned " + std::to_string(code) : words);
  }

  void check(const char *what, int code) const {
    if (code != 0) throw failed(what, code);
  }

  // For what no caller waits for.
  void warn(const char *what, int code) const {
    if (code != 0) std::cerr << what << " returned " << code << ": " << failed(what, code).what() << std::endl;
  }

 private:
  template <typename Function>
  static void load(void *handle, const char *name, Function &into) {
    into = reinterpret_cast<Function>(dlsym(handle, name));
    if (into == nullptr) throw WrapperFailed(0, std::string("the library has no function ") + name);
  }
};

// Lists in the library's form. They point into what they were made from, and live as long as this object. An empty one is
// a node without a key, as wrappers know it from the predecessor: some of them follow the first node unseen.
class Lists {
 public:
  ParamList *params(const frames::Map &map) {
    ParamList *first = nullptr;
    ParamList **end = &first;
    for (const auto &[key, value] : map) {
      paramNodes_.push_back({const_cast<char *>(key.c_str()), const_cast<char *>(value.c_str()),
                             static_cast<unsigned int>(value.size()), nullptr});
      *end = &paramNodes_.back();
      end = &paramNodes_.back().next;
    }
    if (first == nullptr) first = &paramNodes_.emplace_back();
    return first;
  }

  // `place` is the status of what does not say its own.
  DataList *data(const std::vector<frames::Part> &parts, DataStatus place) {
    return nodes(parts, [place](const frames::Part &part) { return std::pair(typeOf(part), statusOf(part, place)); });
  }

  // The data of a personal resource.
  DataList *resource(const std::vector<frames::Part> &parts) {
    return nodes(parts, [](const frames::Part &) { return std::pair(DataPer, DataEnd); });
  }

 private:
  template <typename Kind>
  DataList *nodes(const std::vector<frames::Part> &parts, Kind kindOf) {
    DataList *first = nullptr;
    DataList **end = &first;
    for (const frames::Part &part : parts) {
      const auto [type, status] = kindOf(part);
      dataNodes_.push_back({const_cast<char *>(part.name.c_str()), const_cast<char *>(part.data.data()),
                            static_cast<unsigned int>(part.data.size()), type, status, params(part.attributes),
                            nullptr});
      *end = &dataNodes_.back();
      end = &dataNodes_.back().next;
    }
    if (first == nullptr) first = &dataNodes_.emplace_back();
    return first;
  }

  // The protocol counts types from 1; its fifth, other, has no number of its own here.
  static DataType typeOf(const frames::Part &part) {
    return static_cast<DataType>(part.type >= 1 && part.type <= 4 ? part.type - 1 : DataText);
  }

  static DataStatus statusOf(const frames::Part &part, DataStatus place) {
    const auto found = part.attributes.find("status");
    if (found == part.attributes.end() || found->second.size() != 1) return place;
    const int value = found->second[0] - '0';
    return value >= 0 && value <= 3 ? static_cast<DataStatus>(value) : place;
  }

  // Deques: nodes keep their addresses while more are added.
  std::deque<ParamList> paramNodes_;
  std::deque<DataList> dataNodes_;
};

struct Result {
  uint8_t status = 0;
  std::vector<frames::Part> parts;

  // Neither data nor an end.
  bool isEmpty() const { return parts.empty() && status < DataEnd; }
};

// Copies a library's list: it belongs to the library and may be gone after the call.
inline Result resultFrom(const DataList *list, const std::map<std::string, uint8_t> &expects) {
  Result result;
  for (; list != nullptr; list = list->next) {
    result.status = std::max(result.status, static_cast<uint8_t>(list->status));
    if (list->key == nullptr) continue;
    frames::Part part;
    part.name = list->key;
    const auto expected = expects.find(part.name);
    part.type = expected == expects.end() ? static_cast<uint8_t>(list->type + 1) : expected->second;
    for (const ParamList *desc = list->desc; desc != nullptr; desc = desc->next) {
      if (desc->key != nullptr && desc->value != nullptr) part.attributes[desc->key] = desc->value;
    }
    if (list->data != nullptr) part.data.assign(static_cast<const char *>(list->data), list->len);
    result.parts.push_back(std::move(part));
  }
  return result;
}
