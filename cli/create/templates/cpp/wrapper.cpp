#include <cstdlib>
#include <cstring>
#include <string>

#include "wrapper_abi.h"

static std::string word = "hello";

static const char *find(const ParamList *list, const char *key) {
  for (; list != nullptr; list = list->next) {
    if (list->key != nullptr && std::strcmp(list->key, key) == 0) return list->value;
  }
  return nullptr;
}

extern "C" {

// Loads the model, once for each process; gets what service.yaml says under engine.config.
int wrapperInit(ParamList *config) {
  if (const char *value = find(config, "word")) word = value;
  return 0;
}

// Answers one request. Several are computed at once, each in a thread, when service.yaml says so.
int wrapperExec(const char *, ParamList *, DataList *data, DataList **result, unsigned int *, int) {
  if (data->len == 0) return 100;
  const std::string text = word + ", " + std::string(static_cast<const char *>(data->data), data->len);
  auto *list = new DataList{strdup("greeting"), std::malloc(text.size()), static_cast<unsigned int>(text.size()),
                            DataText, DataOnce, nullptr, nullptr};
  std::memcpy(list->data, text.data(), text.size());
  *result = list;
  return 0;
}

// Gets back what wrapperExec gave, when it has been copied.
int wrapperExecFree(const char *, DataList **result) {
  std::free((*result)->key);
  std::free((*result)->data);
  delete *result;
  return 0;
}

// The words of this wrapper's own codes.
const char *wrapperError(int code) { return code == 100 ? "the name is empty" : "unknown error"; }
const char *wrapperVersion() { return "1"; }
int wrapperFini() { return 0; }
int wrapperSetCtrl(CtrlType, void *) { return 0; }

// Personal resources, callbacks and sessions: all functions must be there, also those that a service does not use.
int wrapperLoadRes(DataList *, unsigned int) { return 0; }
int wrapperUnloadRes(unsigned int) { return 0; }
int wrapperExecAsync(const char *, ParamList *, DataList *, WrapperCallback, int, unsigned int *, int) { return -1; }
const void *wrapperCreate(const char *, ParamList *, WrapperCallback, unsigned int *, int, int *error) {
  *error = -1;
  return nullptr;
}
int wrapperWrite(const void *, DataList *) { return -1; }
int wrapperRead(const void *, DataList **) { return -1; }
int wrapperDestroy(const void *) { return 0; }
const char *wrapperDebugInfo(const void *) { return ""; }
}
