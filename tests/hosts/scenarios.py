"""Runs tests/scenarios.json through the C ABI: one prototype serves all options."""
import concurrent.futures
import ctypes
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

TABLE = json.loads((pathlib.Path(__file__).parents[1] / "scenarios.json").read_text())
LIBRARY = ctypes.CDLL(os.environ.get("BARMAN_RECOVER_LIBRARY", "libbarman_recover.so"))
HANDLE, TEXT, NUMBER = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32
for name, result, arguments in [
    ("new", HANDLE, []), ("free", None, [HANDLE]), ("set", NUMBER, [HANDLE, TEXT, TEXT]), ("run", NUMBER, [HANDLE]),
    ("operation_state", NUMBER, [HANDLE]), ("error_message", TEXT, [HANDLE]),
    ("code_name", TEXT, [NUMBER]), ("state_name", TEXT, [NUMBER]),
]:
    function = getattr(LIBRARY, "barman_recover_" + name)
    function.restype, function.argtypes = result, arguments


def play(scenario, directory):
    words = [os.environ["STANDIN"], *TABLE["common"]["standin"], *scenario.get("standin", []), "--script", "-"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as standin:
        standin.stdin.write(json.dumps(scenario.get("script", {})))
        standin.stdin.close()
        url = standin.stdout.readline().split()[-1]
        handle = LIBRARY.barman_recover_new()
        options = {**TABLE["common"]["options"], **scenario.get("options", {}), "api-url": url, "data-directory": directory}
        for name, value in options.items():
            LIBRARY.barman_recover_set(handle, name.encode(), value.encode())
        code = LIBRARY.barman_recover_code_name(LIBRARY.barman_recover_run(handle)).decode()
        state = LIBRARY.barman_recover_state_name(LIBRARY.barman_recover_operation_state(handle)).decode()
        message = LIBRARY.barman_recover_error_message(handle).decode()
        LIBRARY.barman_recover_free(handle)
        creates = json.load(urllib.request.urlopen(url + "/_standin/journal"))["creates"]
        standin.kill()
    found, expected = (code, state, creates), tuple(scenario[key] for key in ("code", "state", "creates"))
    return found == expected or print(f"{scenario['name']}: {found} instead of {expected}: {message}")


with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(8) as pool:
    directories = [f"{scratch}/{number}" for number in range(len(TABLE["scenarios"]))]
    sys.exit(not all(list(pool.map(play, TABLE["scenarios"], directories))))
