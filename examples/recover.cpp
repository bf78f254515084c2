// Restores the latest backup of a Barman server, with progress; Ctrl-C ends it.
//
//   c++ -std=c++17 recover.cpp -lbarman_recover -o recover
//   ./recover http://barman:7480 main 'ssh postgres@node1' /var/lib/postgresql/17/main
#include <barman_recover.h>
#include <csignal>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

class Recovery {
public:
    // Returns whether to go on. An exception in it ends the run, and is rethrown by run().
    using OnEvent = std::function<bool(int32_t kind, int32_t level, const char *message)>;

    // For example set(barman_recover_set_loop_wait, 5).
    template <class Value>
    void set(int32_t (*setter)(barman_recover *, Value), std::common_type_t<Value> value) { check(setter(handle.get(), value)); }

    void run(OnEvent function)
    {
        on_event = std::move(function);
        check(barman_recover_set_event_callback(handle.get(), told, this));
        check(barman_recover_run(handle.get()));
    }
    void cancel() noexcept { barman_recover_cancel(handle.get()); } // from any thread
    int32_t state() const noexcept { return barman_recover_operation_state(handle.get()); }

private:
    static int32_t told(int32_t kind, int32_t level, const char *message, void *self) noexcept
    {
        auto *recovery = static_cast<Recovery *>(self);
        try {
            return recovery->on_event(kind, level, message) ? 0 : 1;
        } catch (...) { // no exception may pass through the library
            recovery->thrown = std::current_exception();
            return 1;
        }
    }
    void check(int32_t code) const
    {
        if (thrown)
            std::rethrow_exception(thrown);
        if (code != BARMAN_RECOVER_RECOVERY_DONE)
            throw std::runtime_error(barman_recover_code_name(code) + std::string(": ") + barman_recover_error_message(handle.get()));
    }
    std::unique_ptr<barman_recover, decltype(&barman_recover_free)> handle{barman_recover_new(), barman_recover_free};
    OnEvent on_event;
    std::exception_ptr thrown;
};

static volatile std::sig_atomic_t interrupted;

int main(int argc, char **argv)
try {
    Recovery recovery;
    if (argc != 5)
        throw std::invalid_argument("recover API_URL BARMAN_SERVER SSH_COMMAND DATA_DIRECTORY");
    std::signal(SIGINT, [](int) { interrupted = 1; });
    recovery.set(barman_recover_set_api_url, argv[1]);
    recovery.set(barman_recover_set_barman_server, argv[2]);
    recovery.set(barman_recover_set_ssh_command, argv[3]);
    recovery.set(barman_recover_set_data_directory, argv[4]);
    recovery.run([](int32_t kind, int32_t level, const char *message) {
        if (kind == BARMAN_RECOVER_EVENT_LOG && level >= BARMAN_RECOVER_LEVEL_INFO)
            std::cerr << message << '\n';
        else if (kind == BARMAN_RECOVER_EVENT_STATE)
            std::cerr << "operation: " << barman_recover_state_name(level) << ' ' << message << '\n';
        return !interrupted;
    });
    return 0;
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
