// The C interface of the predecessor's wrappers, for C and C++: names, numbers and layouts are fixed by existing libraries.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { CTMeterCustom = 0, CTMetricsLog = 1, CTTraceLog = 2 } CtrlType;
// DataPer marks the data of a personal resource.
typedef enum { DataText = 0, DataAudio = 1, DataImage = 2, DataVideo = 3, DataPer = 4 } DataType;
typedef enum { DataBegin = 0, DataContinue = 1, DataEnd = 2, DataOnce = 3 } DataStatus;

typedef struct ParamList {
  char *key;
  char *value;
  unsigned int vlen;
  struct ParamList *next;
} ParamList, *pParamList, *pConfig, *pDescList;

// The data is not NUL-terminated; the strings are.
typedef struct DataList {
  char *key;
  void *data;
  unsigned int len;
  DataType type;
  DataStatus status;
  ParamList *desc;
  struct DataList *next;
} DataList, *pDataList;

typedef int (*WrapperCallback)(const void *usrTag, DataList *respData, int ret);

// What wrapperSetCtrl hands over: for CTMeterCustom and CTMetricsLog, and for CTTraceLog.
typedef int (*WrapperMeter)(const char *usrTag, const char *key, int count);
typedef int (*WrapperTrace)(const char *usrTag, const char *key, const char *value);

typedef int (*WrapperSetCtrl)(CtrlType type, void *func);
typedef int (*WrapperInit)(ParamList *config);
typedef int (*WrapperFini)(void);
typedef const char *(*WrapperError)(int code);
typedef const char *(*WrapperVersion)(void);
typedef int (*WrapperLoadRes)(DataList *data, unsigned int id);
typedef int (*WrapperUnloadRes)(unsigned int id);
typedef const void *(*WrapperCreate)(const char *usrTag, ParamList *params, WrapperCallback callback,
                                     unsigned int *resourceIds, int resourceCount, int *error);
typedef int (*WrapperWrite)(const void *handle, DataList *data);
typedef int (*WrapperRead)(const void *handle, DataList **result);
typedef int (*WrapperDestroy)(const void *handle);
typedef int (*WrapperExec)(const char *usrTag, ParamList *params, DataList *data, DataList **result,
                           unsigned int *resourceIds, int resourceCount);
typedef int (*WrapperExecFree)(const char *usrTag, DataList **result);
typedef int (*WrapperExecAsync)(const char *usrTag, ParamList *params, DataList *data, WrapperCallback callback,
                                int timeout, unsigned int *resourceIds, int resourceCount);
typedef const char *(*WrapperDebugInfo)(const void *handle);

#ifdef __cplusplus
}
#endif
