// A queue between threads.
#pragma once

#include <condition_variable>
#include <mutex>
#include <queue>

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
