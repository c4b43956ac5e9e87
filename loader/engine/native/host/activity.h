// Counts what is under way inside the library.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

class Activity {
 public:
  // Counts as under way until it is gone.
  class Part {
   public:
    explicit Part(Activity &activity) : activity_(activity) { activity_.add(1); }
    ~Part() { activity_.add(-1); }
    Part(const Part &) = delete;
    Part &operator=(const Part &) = delete;

   private:
    Activity &activity_;
  };

  // Waits until nothing is under way, at most this long.
  void untilIdle(std::chrono::milliseconds limit) {
    std::unique_lock<std::mutex> lock(mutex_);
    idle_.wait_for(lock, limit, [this] { return count_ == 0; });
  }

 private:
  void add(int count) {
    std::lock_guard<std::mutex> lock(mutex_);
    count_ += count;
    if (count_ == 0) idle_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable idle_;
  int count_ = 0;
};
