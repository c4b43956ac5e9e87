"""Numbers of data types and states, by the names that wrappers know."""

DataText = 0
DataAudio = 1
DataImage = 2
DataVideo = 3
DataPer = 4

DataBegin = 0
DataContinue = 1
DataEnd = 2
DataOnce = 3
Once = DataOnce
