// The class of examples/recover.cpp: exceptions, threads, many at once. Arguments: API_URL DIRECTORY
#define main example_main
#include "../../examples/recover.cpp"
#undef main
#include <atomic>
#include <thread>
#include <vector>

static void check(bool so, const char *what)
{
    if (so)
        return;
    std::cerr << "not so: " << what << '\n';
    std::exit(1);
}

static void set_up(Recovery &recovery, const char *server, const std::string &directory, char **argv)
{
    recovery.set(barman_recover_set_api_url, argv[1]);
    recovery.set(barman_recover_set_barman_server, server);
    recovery.set(barman_recover_set_ssh_command, "ssh node");
    recovery.set(barman_recover_set_data_directory, directory.c_str());
    recovery.set(barman_recover_set_loop_wait, 5u);
}

// What it throws ends the run at once, and comes out of it as it was.
static void a_callback_throws(char **argv)
{
    struct Own {};
    Recovery recovery;
    set_up(recovery, "stuck", argv[2] + std::string("/throws"), argv);
    try {
        recovery.run([](int32_t kind, int32_t level, const char *) -> bool {
            if (kind == BARMAN_RECOVER_EVENT_STATE && level == BARMAN_RECOVER_STATE_IN_PROGRESS)
                throw Own();
            return true;
        });
        check(false, "it throws");
    } catch (const Own &) {
        check(recovery.state() == BARMAN_RECOVER_STATE_IN_PROGRESS, "it was in progress");
    }
}

static void a_wrong_value_throws()
{
    Recovery recovery;
    try {
        recovery.set(barman_recover_set_api_url, "no URL");
        check(false, "it throws");
    } catch (const std::runtime_error &error) {
        check(std::string(error.what()).rfind("INVALID_ARGUMENT: --api-url", 0) == 0, error.what());
    }
}

static void threads_restore_and_cancel(char **argv)
{
    std::vector<std::thread> threads;
    std::atomic<int> done{0}, cancelled{0};
    for (int number = 0; number < 16; number++)
        threads.emplace_back([&, number] {
            Recovery recovery;
            std::atomic<bool> in_progress{false};
            bool ends = number % 2 == 0;
            set_up(recovery, ends ? "main" : "stuck", argv[2] + std::string("/") + std::to_string(number), argv);
            std::thread other([&] {
                while (!in_progress)
                    std::this_thread::yield();
                if (!ends)
                    recovery.cancel();
            });
            try {
                recovery.run([&](int32_t kind, int32_t level, const char *) {
                    if (kind == BARMAN_RECOVER_EVENT_STATE && level == BARMAN_RECOVER_STATE_IN_PROGRESS)
                        in_progress = true;
                    return true;
                });
                done++;
            } catch (const std::runtime_error &error) {
                check(std::string(error.what()).rfind("CANCELLED", 0) == 0, error.what());
                cancelled++;
            }
            in_progress = true;
            other.join();
        });
    for (auto &thread : threads)
        thread.join();
    check(done == 8 && cancelled == 8, "half are done, half are cancelled");
}

int main(int, char **argv)
{
    a_callback_throws(argv);
    a_wrong_value_throws();
    threads_restore_and_cancel(argv);
    return 0;
}
