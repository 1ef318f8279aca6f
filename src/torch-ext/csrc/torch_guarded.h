// How failures inside libtorch reach Rust: a function returns null, or a
// message that lives until the next failure on this thread.
#pragma once

#include <c10/util/Exception.h>

#include <exception>
#include <string>

namespace qinglan {

template <typename Work>
const char* torch_guarded(Work work) noexcept {
  static thread_local std::string message;
  try {
    work();
    return nullptr;
  } catch (const c10::Error& error) {
    // Without the backtrace, which is thirty lines of addresses.
    message = error.what_without_backtrace();
  } catch (const std::exception& error) {
    message = error.what();
  } catch (...) {
    message = "a C++ exception of unknown type";
  }
  return message.c_str();
}

}  // namespace qinglan
