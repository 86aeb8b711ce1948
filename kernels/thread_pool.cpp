#include "thread_pool.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>

namespace ricorda {
namespace {

// One call of parallel_for. Helpers join while `helpers_wanted` is above 0.
struct Task {
  const std::function<void(int)>& work;
  const int jobs;
  int helpers_wanted;
  std::atomic<int> next_job{0};
  int helpers_active = 0;
  std::exception_ptr error{};

  // Runs jobs until none is left; returns what went wrong.
  std::exception_ptr run() {
    try {
      for (int job; (job = next_job.fetch_add(1)) < jobs;) work(job);
      return nullptr;
    } catch (...) {
      next_job = jobs;  // the others need not continue
      return std::current_exception();
    }
  }
};

class ThreadPool {
 public:
  void run(Task& task) {
    std::unique_lock lock(mutex_);
    const int most = usable_cores() - 1;
    task.helpers_wanted = std::min(task.helpers_wanted, most);
    const auto place = tasks_.insert(tasks_.end(), &task);
    while (idle_ < task.helpers_wanted && workers_ < most && start_worker()) {
    }
    lock.unlock();
    work_.notify_all();

    // Nothing here depends on a helper having started: in a forked process there are none.
    const std::exception_ptr error = task.run();
    lock.lock();
    tasks_.erase(place);
    finished_.wait(lock, [&] { return task.helpers_active == 0; });
    if (error) task.error = error;
    if (task.error) std::rethrow_exception(task.error);
  }

 private:
  bool start_worker() {
    try {
      std::thread([this] { serve(); }).detach();
    } catch (const std::system_error&) {
      return false;  // the system allows no more threads: the caller does the work
    }
    ++workers_;
    ++idle_;
    return true;
  }

  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      Task* task = nullptr;
      work_.wait(lock, [&] { return (task = wanting_task()) != nullptr; });
      --task->helpers_wanted;
      ++task->helpers_active;
      --idle_;
      lock.unlock();
      const std::exception_ptr error = task->run();
      lock.lock();
      if (error) task->error = error;
      ++idle_;
      if (--task->helpers_active == 0) finished_.notify_all();
    }
  }

  Task* wanting_task() {
    for (Task* task : tasks_)
      if (task->helpers_wanted > 0) return task;
    return nullptr;
  }

  std::mutex mutex_;
  std::condition_variable work_, finished_;
  std::list<Task*> tasks_;
  int workers_ = 0;
  int idle_ = 0;
};

// Never destroyed: its threads sleep on it until the process ends.
ThreadPool& pool() {
  static ThreadPool& instance = *new ThreadPool;
  return instance;
}

std::atomic<int> cores{1};

}  // namespace

int usable_cores() { return cores; }

void set_usable_cores(int count) { cores = std::max(1, count); }

void parallel_for(int jobs, int threads, const std::function<void(int)>& work) {
  const int helpers = std::min(threads, jobs) - 1;
  if (helpers <= 0) {
    for (int job = 0; job < jobs; ++job) work(job);
    return;
  }
  Task task{work, jobs, helpers};
  pool().run(task);
}

}  // namespace ricorda
