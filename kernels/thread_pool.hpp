// Threads that sleep until there is work, shared by the whole process.
#pragma once

#include <algorithm>
#include <functional>

namespace ricorda {

// How many cores this process may use: as ricorda.cores counts them when the module is loaded.
int usable_cores();
void set_usable_cores(int count);

// How many threads to share work between where `wanted` were asked for: never more than cores.
inline int usable_threads(int wanted) { return wanted == 1 ? 1 : std::min(wanted, usable_cores()); }

// Calls work(0) ... work(jobs - 1), each once, from up to `threads` threads of which the caller is
// one, and returns when all are done. A thread without work sleeps and does not spin. Rethrows the
// first exception of a job.
void parallel_for(int jobs, int threads, const std::function<void(int)>& work);

}  // namespace ricorda
