# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_patroni_barman_global_optspecs
    string join \n api-url= barman-server= retry-wait= max-retries= connect-timeout= request-timeout= create-timeout= max-outage= deadline= cert-file= key-file= ca-file= proxy= log-file= log-stderr log-format= log-level= progress= v q h/help V/version
end

function __fish_patroni_barman_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_patroni_barman_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_patroni_barman_using_subcommand
    set -l cmd (__fish_patroni_barman_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l api-url -d 'URL of pg-backup-api, for example \'http://barman:7480\'; \'https://user:password@host/prefix\' works too (required) [env: BARMAN_RECOVER_API_URL]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l barman-server -d 'Name of the Barman server (required) [env: BARMAN_RECOVER_BARMAN_SERVER]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l retry-wait -d 'Seconds to wait before a failed request is repeated [default: 2] [env: BARMAN_RECOVER_RETRY_WAIT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l max-retries -d 'Number of attempts for a request that fails and starts nothing [default: 5] [env: BARMAN_RECOVER_MAX_RETRIES]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l connect-timeout -d 'Seconds to connect to the API, TLS handshake included [default: 10] [env: BARMAN_RECOVER_CONNECT_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l request-timeout -d 'Seconds to wait for the API\'s answer to a question [default: 20] [env: BARMAN_RECOVER_REQUEST_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l create-timeout -d 'Seconds to wait for the API\'s answer to the request that starts the operation [default: 60] [env: BARMAN_RECOVER_CREATE_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l max-outage -d 'Seconds without a valid answer about a running operation before giving up, while no data arrives (300, or max-retries x retry-wait when one of them is given) [env: BARMAN_RECOVER_MAX_OUTAGE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l deadline -d 'Seconds for the whole run, 0 for no limit [default: 0] [env: BARMAN_RECOVER_DEADLINE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l cert-file -d 'Client certificate for the API, in PEM; may hold the key too [env: BARMAN_RECOVER_CERT_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l key-file -d 'Key of the client certificate, in PEM, not encrypted [env: BARMAN_RECOVER_KEY_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l ca-file -d 'Certificates to trust, in PEM, in addition to the system\'s (or SSL_CERT_FILE and SSL_CERT_DIR) [env: BARMAN_RECOVER_CA_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l proxy -d 'HTTP proxy to reach the API through; the environment\'s proxy variables are ignored [env: BARMAN_RECOVER_PROXY]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l log-file -d 'File to log to instead of standard error [env: BARMAN_RECOVER_LOG_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l log-format -d 'text, or json for one JSON object a line [default: text] [env: BARMAN_RECOVER_LOG_FORMAT]' -r -f -a "text\t''
json\t''"
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l log-level -d 'Lowest level that is logged: debug, info, warning or error [default: info] [env: BARMAN_RECOVER_LOG_LEVEL]' -r -f -a "debug\t''
info\t''
warning\t''
error\t''"
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l progress -d 'When to show progress: auto (a bar, on a terminal), always (elsewhere a line a second), never [default: auto] [env: BARMAN_RECOVER_PROGRESS]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l log-stderr -d 'Log to standard error as well as to the file [env: BARMAN_RECOVER_LOG_STDERR]'
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -s v -d 'Log a level more than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -s q -d 'Log a level less than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -s h -l help -d 'Print help'
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -s V -l version -d 'Print version'
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -f -a "recover" -d 'Restore a Barman backup onto this node (\'barman recover\' through pg-backup-api)'
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -f -a "check" -d 'Check whether this node can restore: the API, the backup, space, the data directory'
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -f -a "verify" -d 'Check offline whether the data directory holds a complete restore by Barman'
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -f -a "cancel" -d 'End a restore into the data directory that nobody follows any more'
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -f -a "backups" -d 'List the backups of a Barman server, to choose a --backup-id'
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -f -a "operations" -d 'List the newest operations of a Barman server, with their states'
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -f -a "config-switch" -d 'Switch the configuration of a Barman server at a role change (\'barman config-switch\')'
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l api-url -d 'URL of pg-backup-api, for example \'http://barman:7480\'; \'https://user:password@host/prefix\' works too (required) [env: BARMAN_RECOVER_API_URL]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l barman-server -d 'Name of the Barman server (required) [env: BARMAN_RECOVER_BARMAN_SERVER]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l backup-id -d 'Backup to restore: an ID or what \'barman recover\' accepts (latest, oldest, ...) [default: latest] [env: BARMAN_RECOVER_BACKUP_ID]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l ssh-command -d 'Command with which Barman reaches this node, as its \'--remote-ssh-command\' (required) [env: BARMAN_RECOVER_SSH_COMMAND]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l data-directory -l datadir -d 'Data directory of this node: where to restore (required) [env: BARMAN_RECOVER_DATA_DIRECTORY] [alias: --datadir]' -r -f -a "(__fish_complete_directories)"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l retry-wait -d 'Seconds to wait before a failed request is repeated [default: 2] [env: BARMAN_RECOVER_RETRY_WAIT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l max-retries -d 'Number of attempts for a request that fails and starts nothing [default: 5] [env: BARMAN_RECOVER_MAX_RETRIES]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l connect-timeout -d 'Seconds to connect to the API, TLS handshake included [default: 10] [env: BARMAN_RECOVER_CONNECT_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l request-timeout -d 'Seconds to wait for the API\'s answer to a question [default: 20] [env: BARMAN_RECOVER_REQUEST_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l create-timeout -d 'Seconds to wait for the API\'s answer to the request that starts the operation [default: 60] [env: BARMAN_RECOVER_CREATE_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l loop-wait -d 'Longest time in seconds between two questions about the operation [default: 10] [env: BARMAN_RECOVER_LOOP_WAIT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l max-outage -d 'Seconds without a valid answer about a running operation before giving up, while no data arrives (300, or max-retries x retry-wait when one of them is given) [env: BARMAN_RECOVER_MAX_OUTAGE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l deadline -d 'Seconds for the whole run, 0 for no limit [default: 0] [env: BARMAN_RECOVER_DEADLINE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l stall-timeout -d 'Seconds without anything new in the data directory before giving up, 0 for no limit (a warning comes after 300) [default: 0] [env: BARMAN_RECOVER_STALL_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l cert-file -d 'Client certificate for the API, in PEM; may hold the key too [env: BARMAN_RECOVER_CERT_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l key-file -d 'Key of the client certificate, in PEM, not encrypted [env: BARMAN_RECOVER_KEY_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l ca-file -d 'Certificates to trust, in PEM, in addition to the system\'s (or SSL_CERT_FILE and SSL_CERT_DIR) [env: BARMAN_RECOVER_CA_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l proxy -d 'HTTP proxy to reach the API through; the environment\'s proxy variables are ignored [env: BARMAN_RECOVER_PROXY]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l operation-id -d 'Follow this operation instead of starting one (--ssh-command is not needed then) [env: BARMAN_RECOVER_OPERATION_ID]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l state-file -d 'State file, which records the running operation (next to the data directory: DATADIR.barman-recover.json) [env: BARMAN_RECOVER_STATE_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l log-file -d 'File to log to instead of standard error [env: BARMAN_RECOVER_LOG_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l log-format -d 'text, or json for one JSON object a line [default: text] [env: BARMAN_RECOVER_LOG_FORMAT]' -r -f -a "text\t''
json\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l log-level -d 'Lowest level that is logged: debug, info, warning or error [default: info] [env: BARMAN_RECOVER_LOG_LEVEL]' -r -f -a "debug\t''
info\t''
warning\t''
error\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l progress -d 'When to show progress: auto (a bar, on a terminal), always (elsewhere a line a second), never [default: auto] [env: BARMAN_RECOVER_PROGRESS]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l verify -d 'Fail when the data is not in the data directory: the default; --verify=false is --no-verify [env: BARMAN_RECOVER_VERIFY]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l no-state-file -d 'Keep no state file: after a kill the next run does not know about the restore [env: BARMAN_RECOVER_NO_STATE_FILE]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l no-diagnose -d 'Do not ask the API for the backup\'s size (GET /diagnose, for which Barman examines all its servers): no percentage is shown then, and a backup that does not fit is not refused [env: BARMAN_RECOVER_NO_DIAGNOSE]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l no-verify -d 'Accept the API\'s DONE although the data is not in the data directory: for a restore to a different host [env: BARMAN_RECOVER_NO_VERIFY]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l leave-running -d 'Leave the restore running when this run is cancelled, as the Python program does, instead of ending it [env: BARMAN_RECOVER_LEAVE_RUNNING]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l force -d 'Restore even if the check of the free space or of the data directory fails [env: BARMAN_RECOVER_FORCE]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l log-stderr -d 'Log to standard error as well as to the file [env: BARMAN_RECOVER_LOG_STDERR]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -s v -d 'Log a level more than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -s q -d 'Log a level less than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -s h -l help -d 'Print help'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l api-url -d 'URL of pg-backup-api, for example \'http://barman:7480\'; \'https://user:password@host/prefix\' works too (required) [env: BARMAN_RECOVER_API_URL]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l barman-server -d 'Name of the Barman server (required) [env: BARMAN_RECOVER_BARMAN_SERVER]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l backup-id -d 'Backup to restore: an ID or what \'barman recover\' accepts (latest, oldest, ...) [default: latest] [env: BARMAN_RECOVER_BACKUP_ID]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l ssh-command -d 'Command with which Barman reaches this node, as its \'--remote-ssh-command\' (required) [env: BARMAN_RECOVER_SSH_COMMAND]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l data-directory -l datadir -d 'Data directory of this node: where to restore (required) [env: BARMAN_RECOVER_DATA_DIRECTORY] [alias: --datadir]' -r -f -a "(__fish_complete_directories)"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l retry-wait -d 'Seconds to wait before a failed request is repeated [default: 2] [env: BARMAN_RECOVER_RETRY_WAIT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l max-retries -d 'Number of attempts for a request that fails and starts nothing [default: 5] [env: BARMAN_RECOVER_MAX_RETRIES]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l connect-timeout -d 'Seconds to connect to the API, TLS handshake included [default: 10] [env: BARMAN_RECOVER_CONNECT_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l request-timeout -d 'Seconds to wait for the API\'s answer to a question [default: 20] [env: BARMAN_RECOVER_REQUEST_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l create-timeout -d 'Seconds to wait for the API\'s answer to the request that starts the operation [default: 60] [env: BARMAN_RECOVER_CREATE_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l loop-wait -d 'Longest time in seconds between two questions about the operation [default: 10] [env: BARMAN_RECOVER_LOOP_WAIT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l max-outage -d 'Seconds without a valid answer about a running operation before giving up, while no data arrives (300, or max-retries x retry-wait when one of them is given) [env: BARMAN_RECOVER_MAX_OUTAGE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l deadline -d 'Seconds for the whole run, 0 for no limit [default: 0] [env: BARMAN_RECOVER_DEADLINE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l stall-timeout -d 'Seconds without anything new in the data directory before giving up, 0 for no limit (a warning comes after 300) [default: 0] [env: BARMAN_RECOVER_STALL_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l cert-file -d 'Client certificate for the API, in PEM; may hold the key too [env: BARMAN_RECOVER_CERT_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l key-file -d 'Key of the client certificate, in PEM, not encrypted [env: BARMAN_RECOVER_KEY_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l ca-file -d 'Certificates to trust, in PEM, in addition to the system\'s (or SSL_CERT_FILE and SSL_CERT_DIR) [env: BARMAN_RECOVER_CA_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l proxy -d 'HTTP proxy to reach the API through; the environment\'s proxy variables are ignored [env: BARMAN_RECOVER_PROXY]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l operation-id -d 'Follow this operation instead of starting one (--ssh-command is not needed then) [env: BARMAN_RECOVER_OPERATION_ID]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l state-file -d 'State file, which records the running operation (next to the data directory: DATADIR.barman-recover.json) [env: BARMAN_RECOVER_STATE_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l format -d 'How to print: text or json [default: text] [env: BARMAN_RECOVER_FORMAT]' -r -f -a "text\t''
json\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l log-file -d 'File to log to instead of standard error [env: BARMAN_RECOVER_LOG_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l log-format -d 'text, or json for one JSON object a line [default: text] [env: BARMAN_RECOVER_LOG_FORMAT]' -r -f -a "text\t''
json\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l log-level -d 'Lowest level that is logged: debug, info, warning or error [default: info] [env: BARMAN_RECOVER_LOG_LEVEL]' -r -f -a "debug\t''
info\t''
warning\t''
error\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l progress -d 'When to show progress: auto (a bar, on a terminal), always (elsewhere a line a second), never [default: auto] [env: BARMAN_RECOVER_PROGRESS]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l verify -d 'Fail when the data is not in the data directory: the default; --verify=false is --no-verify [env: BARMAN_RECOVER_VERIFY]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l no-state-file -d 'Keep no state file: after a kill the next run does not know about the restore [env: BARMAN_RECOVER_NO_STATE_FILE]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l no-diagnose -d 'Do not ask the API for the backup\'s size (GET /diagnose, for which Barman examines all its servers): no percentage is shown then, and a backup that does not fit is not refused [env: BARMAN_RECOVER_NO_DIAGNOSE]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l no-verify -d 'Accept the API\'s DONE although the data is not in the data directory: for a restore to a different host [env: BARMAN_RECOVER_NO_VERIFY]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l leave-running -d 'Leave the restore running when this run is cancelled, as the Python program does, instead of ending it [env: BARMAN_RECOVER_LEAVE_RUNNING]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l force -d 'Restore even if the check of the free space or of the data directory fails [env: BARMAN_RECOVER_FORCE]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l probe -d 'Have Barman log in on this node, by a restore into a scratch directory that it refuses as not empty: nothing is copied, and an operation that has FAILED is left in the API\'s list [env: BARMAN_RECOVER_PROBE]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l strict -d 'Treat every warning as a failure [env: BARMAN_RECOVER_STRICT]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -l log-stderr -d 'Log to standard error as well as to the file [env: BARMAN_RECOVER_LOG_STDERR]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -s v -d 'Log a level more than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -s q -d 'Log a level less than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand check" -s h -l help -d 'Print help'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand verify" -l data-directory -l datadir -d 'Data directory of this node: where to restore (required) [env: BARMAN_RECOVER_DATA_DIRECTORY] [alias: --datadir]' -r -f -a "(__fish_complete_directories)"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand verify" -l format -d 'How to print: text or json [default: text] [env: BARMAN_RECOVER_FORMAT]' -r -f -a "text\t''
json\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand verify" -l log-file -d 'File to log to instead of standard error [env: BARMAN_RECOVER_LOG_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand verify" -l log-format -d 'text, or json for one JSON object a line [default: text] [env: BARMAN_RECOVER_LOG_FORMAT]' -r -f -a "text\t''
json\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand verify" -l log-level -d 'Lowest level that is logged: debug, info, warning or error [default: info] [env: BARMAN_RECOVER_LOG_LEVEL]' -r -f -a "debug\t''
info\t''
warning\t''
error\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand verify" -l progress -d 'When to show progress: auto (a bar, on a terminal), always (elsewhere a line a second), never [default: auto] [env: BARMAN_RECOVER_PROGRESS]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand verify" -l log-stderr -d 'Log to standard error as well as to the file [env: BARMAN_RECOVER_LOG_STDERR]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand verify" -s v -d 'Log a level more than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand verify" -s q -d 'Log a level less than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand verify" -s h -l help -d 'Print help'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l api-url -d 'URL of pg-backup-api, for example \'http://barman:7480\'; \'https://user:password@host/prefix\' works too (required) [env: BARMAN_RECOVER_API_URL]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l barman-server -d 'Name of the Barman server (required) [env: BARMAN_RECOVER_BARMAN_SERVER]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l data-directory -l datadir -d 'Data directory of this node: where to restore (required) [env: BARMAN_RECOVER_DATA_DIRECTORY] [alias: --datadir]' -r -f -a "(__fish_complete_directories)"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l retry-wait -d 'Seconds to wait before a failed request is repeated [default: 2] [env: BARMAN_RECOVER_RETRY_WAIT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l max-retries -d 'Number of attempts for a request that fails and starts nothing [default: 5] [env: BARMAN_RECOVER_MAX_RETRIES]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l connect-timeout -d 'Seconds to connect to the API, TLS handshake included [default: 10] [env: BARMAN_RECOVER_CONNECT_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l request-timeout -d 'Seconds to wait for the API\'s answer to a question [default: 20] [env: BARMAN_RECOVER_REQUEST_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l create-timeout -d 'Seconds to wait for the API\'s answer to the request that starts the operation [default: 60] [env: BARMAN_RECOVER_CREATE_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l max-outage -d 'Seconds without a valid answer about a running operation before giving up, while no data arrives (300, or max-retries x retry-wait when one of them is given) [env: BARMAN_RECOVER_MAX_OUTAGE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l deadline -d 'Seconds for the whole run, 0 for no limit [default: 0] [env: BARMAN_RECOVER_DEADLINE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l cert-file -d 'Client certificate for the API, in PEM; may hold the key too [env: BARMAN_RECOVER_CERT_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l key-file -d 'Key of the client certificate, in PEM, not encrypted [env: BARMAN_RECOVER_KEY_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l ca-file -d 'Certificates to trust, in PEM, in addition to the system\'s (or SSL_CERT_FILE and SSL_CERT_DIR) [env: BARMAN_RECOVER_CA_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l proxy -d 'HTTP proxy to reach the API through; the environment\'s proxy variables are ignored [env: BARMAN_RECOVER_PROXY]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l state-file -d 'State file, which records the running operation (next to the data directory: DATADIR.barman-recover.json) [env: BARMAN_RECOVER_STATE_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l log-file -d 'File to log to instead of standard error [env: BARMAN_RECOVER_LOG_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l log-format -d 'text, or json for one JSON object a line [default: text] [env: BARMAN_RECOVER_LOG_FORMAT]' -r -f -a "text\t''
json\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l log-level -d 'Lowest level that is logged: debug, info, warning or error [default: info] [env: BARMAN_RECOVER_LOG_LEVEL]' -r -f -a "debug\t''
info\t''
warning\t''
error\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l progress -d 'When to show progress: auto (a bar, on a terminal), always (elsewhere a line a second), never [default: auto] [env: BARMAN_RECOVER_PROGRESS]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l no-state-file -d 'Keep no state file: after a kill the next run does not know about the restore [env: BARMAN_RECOVER_NO_STATE_FILE]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -l log-stderr -d 'Log to standard error as well as to the file [env: BARMAN_RECOVER_LOG_STDERR]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -s v -d 'Log a level more than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -s q -d 'Log a level less than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand cancel" -s h -l help -d 'Print help'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l api-url -d 'URL of pg-backup-api, for example \'http://barman:7480\'; \'https://user:password@host/prefix\' works too (required) [env: BARMAN_RECOVER_API_URL]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l barman-server -d 'Name of the Barman server (required) [env: BARMAN_RECOVER_BARMAN_SERVER]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l retry-wait -d 'Seconds to wait before a failed request is repeated [default: 2] [env: BARMAN_RECOVER_RETRY_WAIT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l max-retries -d 'Number of attempts for a request that fails and starts nothing [default: 5] [env: BARMAN_RECOVER_MAX_RETRIES]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l connect-timeout -d 'Seconds to connect to the API, TLS handshake included [default: 10] [env: BARMAN_RECOVER_CONNECT_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l request-timeout -d 'Seconds to wait for the API\'s answer to a question [default: 20] [env: BARMAN_RECOVER_REQUEST_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l create-timeout -d 'Seconds to wait for the API\'s answer to the request that starts the operation [default: 60] [env: BARMAN_RECOVER_CREATE_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l max-outage -d 'Seconds without a valid answer about a running operation before giving up, while no data arrives (300, or max-retries x retry-wait when one of them is given) [env: BARMAN_RECOVER_MAX_OUTAGE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l deadline -d 'Seconds for the whole run, 0 for no limit [default: 0] [env: BARMAN_RECOVER_DEADLINE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l cert-file -d 'Client certificate for the API, in PEM; may hold the key too [env: BARMAN_RECOVER_CERT_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l key-file -d 'Key of the client certificate, in PEM, not encrypted [env: BARMAN_RECOVER_KEY_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l ca-file -d 'Certificates to trust, in PEM, in addition to the system\'s (or SSL_CERT_FILE and SSL_CERT_DIR) [env: BARMAN_RECOVER_CA_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l proxy -d 'HTTP proxy to reach the API through; the environment\'s proxy variables are ignored [env: BARMAN_RECOVER_PROXY]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l format -d 'How to print: text or json [default: text] [env: BARMAN_RECOVER_FORMAT]' -r -f -a "text\t''
json\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l log-file -d 'File to log to instead of standard error [env: BARMAN_RECOVER_LOG_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l log-format -d 'text, or json for one JSON object a line [default: text] [env: BARMAN_RECOVER_LOG_FORMAT]' -r -f -a "text\t''
json\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l log-level -d 'Lowest level that is logged: debug, info, warning or error [default: info] [env: BARMAN_RECOVER_LOG_LEVEL]' -r -f -a "debug\t''
info\t''
warning\t''
error\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l progress -d 'When to show progress: auto (a bar, on a terminal), always (elsewhere a line a second), never [default: auto] [env: BARMAN_RECOVER_PROGRESS]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -l log-stderr -d 'Log to standard error as well as to the file [env: BARMAN_RECOVER_LOG_STDERR]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -s v -d 'Log a level more than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -s q -d 'Log a level less than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand backups" -s h -l help -d 'Print help'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l api-url -d 'URL of pg-backup-api, for example \'http://barman:7480\'; \'https://user:password@host/prefix\' works too (required) [env: BARMAN_RECOVER_API_URL]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l barman-server -d 'Name of the Barman server (required) [env: BARMAN_RECOVER_BARMAN_SERVER]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l retry-wait -d 'Seconds to wait before a failed request is repeated [default: 2] [env: BARMAN_RECOVER_RETRY_WAIT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l max-retries -d 'Number of attempts for a request that fails and starts nothing [default: 5] [env: BARMAN_RECOVER_MAX_RETRIES]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l connect-timeout -d 'Seconds to connect to the API, TLS handshake included [default: 10] [env: BARMAN_RECOVER_CONNECT_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l request-timeout -d 'Seconds to wait for the API\'s answer to a question [default: 20] [env: BARMAN_RECOVER_REQUEST_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l create-timeout -d 'Seconds to wait for the API\'s answer to the request that starts the operation [default: 60] [env: BARMAN_RECOVER_CREATE_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l loop-wait -d 'Longest time in seconds between two questions about the operation [default: 10] [env: BARMAN_RECOVER_LOOP_WAIT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l max-outage -d 'Seconds without a valid answer about a running operation before giving up, while no data arrives (300, or max-retries x retry-wait when one of them is given) [env: BARMAN_RECOVER_MAX_OUTAGE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l deadline -d 'Seconds for the whole run, 0 for no limit [default: 0] [env: BARMAN_RECOVER_DEADLINE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l cert-file -d 'Client certificate for the API, in PEM; may hold the key too [env: BARMAN_RECOVER_CERT_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l key-file -d 'Key of the client certificate, in PEM, not encrypted [env: BARMAN_RECOVER_KEY_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l ca-file -d 'Certificates to trust, in PEM, in addition to the system\'s (or SSL_CERT_FILE and SSL_CERT_DIR) [env: BARMAN_RECOVER_CA_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l proxy -d 'HTTP proxy to reach the API through; the environment\'s proxy variables are ignored [env: BARMAN_RECOVER_PROXY]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l limit -d 'How many operations at most, the newest first; 0 for all; each costs a request [default: 20] [env: BARMAN_RECOVER_LIMIT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l format -d 'How to print: text or json [default: text] [env: BARMAN_RECOVER_FORMAT]' -r -f -a "text\t''
json\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l log-file -d 'File to log to instead of standard error [env: BARMAN_RECOVER_LOG_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l log-format -d 'text, or json for one JSON object a line [default: text] [env: BARMAN_RECOVER_LOG_FORMAT]' -r -f -a "text\t''
json\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l log-level -d 'Lowest level that is logged: debug, info, warning or error [default: info] [env: BARMAN_RECOVER_LOG_LEVEL]' -r -f -a "debug\t''
info\t''
warning\t''
error\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l progress -d 'When to show progress: auto (a bar, on a terminal), always (elsewhere a line a second), never [default: auto] [env: BARMAN_RECOVER_PROGRESS]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l all -d 'Every operation, as --limit=0 [env: BARMAN_RECOVER_ALL]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -l log-stderr -d 'Log to standard error as well as to the file [env: BARMAN_RECOVER_LOG_STDERR]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -s v -d 'Log a level more than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -s q -d 'Log a level less than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -s h -l help -d 'Print help'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -f -a "list" -d 'The same as \'operations\' alone'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and not __fish_seen_subcommand_from list help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l api-url -d 'URL of pg-backup-api, for example \'http://barman:7480\'; \'https://user:password@host/prefix\' works too (required) [env: BARMAN_RECOVER_API_URL]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l barman-server -d 'Name of the Barman server (required) [env: BARMAN_RECOVER_BARMAN_SERVER]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l retry-wait -d 'Seconds to wait before a failed request is repeated [default: 2] [env: BARMAN_RECOVER_RETRY_WAIT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l max-retries -d 'Number of attempts for a request that fails and starts nothing [default: 5] [env: BARMAN_RECOVER_MAX_RETRIES]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l connect-timeout -d 'Seconds to connect to the API, TLS handshake included [default: 10] [env: BARMAN_RECOVER_CONNECT_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l request-timeout -d 'Seconds to wait for the API\'s answer to a question [default: 20] [env: BARMAN_RECOVER_REQUEST_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l create-timeout -d 'Seconds to wait for the API\'s answer to the request that starts the operation [default: 60] [env: BARMAN_RECOVER_CREATE_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l loop-wait -d 'Longest time in seconds between two questions about the operation [default: 10] [env: BARMAN_RECOVER_LOOP_WAIT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l max-outage -d 'Seconds without a valid answer about a running operation before giving up, while no data arrives (300, or max-retries x retry-wait when one of them is given) [env: BARMAN_RECOVER_MAX_OUTAGE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l deadline -d 'Seconds for the whole run, 0 for no limit [default: 0] [env: BARMAN_RECOVER_DEADLINE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l cert-file -d 'Client certificate for the API, in PEM; may hold the key too [env: BARMAN_RECOVER_CERT_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l key-file -d 'Key of the client certificate, in PEM, not encrypted [env: BARMAN_RECOVER_KEY_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l ca-file -d 'Certificates to trust, in PEM, in addition to the system\'s (or SSL_CERT_FILE and SSL_CERT_DIR) [env: BARMAN_RECOVER_CA_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l proxy -d 'HTTP proxy to reach the API through; the environment\'s proxy variables are ignored [env: BARMAN_RECOVER_PROXY]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l limit -d 'How many operations at most, the newest first; 0 for all; each costs a request [default: 20] [env: BARMAN_RECOVER_LIMIT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l format -d 'How to print: text or json [default: text] [env: BARMAN_RECOVER_FORMAT]' -r -f -a "text\t''
json\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l log-file -d 'File to log to instead of standard error [env: BARMAN_RECOVER_LOG_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l log-format -d 'text, or json for one JSON object a line [default: text] [env: BARMAN_RECOVER_LOG_FORMAT]' -r -f -a "text\t''
json\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l log-level -d 'Lowest level that is logged: debug, info, warning or error [default: info] [env: BARMAN_RECOVER_LOG_LEVEL]' -r -f -a "debug\t''
info\t''
warning\t''
error\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l progress -d 'When to show progress: auto (a bar, on a terminal), always (elsewhere a line a second), never [default: auto] [env: BARMAN_RECOVER_PROGRESS]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l all -d 'Every operation, as --limit=0 [env: BARMAN_RECOVER_ALL]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -l log-stderr -d 'Log to standard error as well as to the file [env: BARMAN_RECOVER_LOG_STDERR]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -s v -d 'Log a level more than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -s q -d 'Log a level less than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from help" -f -a "list" -d 'The same as \'operations\' alone'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand operations; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l api-url -d 'URL of pg-backup-api, for example \'http://barman:7480\'; \'https://user:password@host/prefix\' works too (required) [env: BARMAN_RECOVER_API_URL]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l barman-server -d 'Name of the Barman server (required) [env: BARMAN_RECOVER_BARMAN_SERVER]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l barman-model -d 'Barman config model to apply to the server [env: BARMAN_RECOVER_BARMAN_MODEL]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l switch-when -d 'When to switch: promoted (the new role is primary or promoted), demoted (replica or demoted), always (required) [env: BARMAN_RECOVER_SWITCH_WHEN]' -r -f -a "promoted\t''
demoted\t''
always\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l retry-wait -d 'Seconds to wait before a failed request is repeated [default: 2] [env: BARMAN_RECOVER_RETRY_WAIT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l max-retries -d 'Number of attempts for a request that fails and starts nothing [default: 5] [env: BARMAN_RECOVER_MAX_RETRIES]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l connect-timeout -d 'Seconds to connect to the API, TLS handshake included [default: 10] [env: BARMAN_RECOVER_CONNECT_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l request-timeout -d 'Seconds to wait for the API\'s answer to a question [default: 20] [env: BARMAN_RECOVER_REQUEST_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l create-timeout -d 'Seconds to wait for the API\'s answer to the request that starts the operation [default: 60] [env: BARMAN_RECOVER_CREATE_TIMEOUT]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l max-outage -d 'Seconds without a valid answer about a running operation before giving up, while no data arrives (300, or max-retries x retry-wait when one of them is given) [env: BARMAN_RECOVER_MAX_OUTAGE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l deadline -d 'Seconds for the whole run, 0 for no limit [default: 0] [env: BARMAN_RECOVER_DEADLINE]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l cert-file -d 'Client certificate for the API, in PEM; may hold the key too [env: BARMAN_RECOVER_CERT_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l key-file -d 'Key of the client certificate, in PEM, not encrypted [env: BARMAN_RECOVER_KEY_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l ca-file -d 'Certificates to trust, in PEM, in addition to the system\'s (or SSL_CERT_FILE and SSL_CERT_DIR) [env: BARMAN_RECOVER_CA_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l proxy -d 'HTTP proxy to reach the API through; the environment\'s proxy variables are ignored [env: BARMAN_RECOVER_PROXY]' -r -f
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l log-file -d 'File to log to instead of standard error [env: BARMAN_RECOVER_LOG_FILE]' -r -F
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l log-format -d 'text, or json for one JSON object a line [default: text] [env: BARMAN_RECOVER_LOG_FORMAT]' -r -f -a "text\t''
json\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l log-level -d 'Lowest level that is logged: debug, info, warning or error [default: info] [env: BARMAN_RECOVER_LOG_LEVEL]' -r -f -a "debug\t''
info\t''
warning\t''
error\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l progress -d 'When to show progress: auto (a bar, on a terminal), always (elsewhere a line a second), never [default: auto] [env: BARMAN_RECOVER_PROGRESS]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l reset -d 'Unapply the model that is active for the server, if any [env: BARMAN_RECOVER_RESET]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -l log-stderr -d 'Log to standard error as well as to the file [env: BARMAN_RECOVER_LOG_STDERR]'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -s v -d 'Log a level more than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -s q -d 'Log a level less than --log-level; may be repeated'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand config-switch" -s h -l help -d 'Print help'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand help; and not __fish_seen_subcommand_from recover check verify cancel backups operations config-switch help" -f -a "recover" -d 'Restore a Barman backup onto this node (\'barman recover\' through pg-backup-api)'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand help; and not __fish_seen_subcommand_from recover check verify cancel backups operations config-switch help" -f -a "check" -d 'Check whether this node can restore: the API, the backup, space, the data directory'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand help; and not __fish_seen_subcommand_from recover check verify cancel backups operations config-switch help" -f -a "verify" -d 'Check offline whether the data directory holds a complete restore by Barman'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand help; and not __fish_seen_subcommand_from recover check verify cancel backups operations config-switch help" -f -a "cancel" -d 'End a restore into the data directory that nobody follows any more'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand help; and not __fish_seen_subcommand_from recover check verify cancel backups operations config-switch help" -f -a "backups" -d 'List the backups of a Barman server, to choose a --backup-id'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand help; and not __fish_seen_subcommand_from recover check verify cancel backups operations config-switch help" -f -a "operations" -d 'List the newest operations of a Barman server, with their states'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand help; and not __fish_seen_subcommand_from recover check verify cancel backups operations config-switch help" -f -a "config-switch" -d 'Switch the configuration of a Barman server at a role change (\'barman config-switch\')'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand help; and not __fish_seen_subcommand_from recover check verify cancel backups operations config-switch help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand help; and __fish_seen_subcommand_from operations" -f -a "list" -d 'The same as \'operations\' alone'
