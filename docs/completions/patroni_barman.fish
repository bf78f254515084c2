# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_patroni_barman_global_optspecs
    string join \n api-url= cert-file= key-file= ca-file= proxy= retry-wait= max-retries= connect-timeout= request-timeout= create-timeout= log-file= h/help V/version
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

complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l api-url -d 'URL of pg-backup-api, for example \'http://barman:7480\'; \'https://user:password@host/prefix\' works too (required) [env: BARMAN_RECOVER_API_URL]' -r
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l cert-file -d 'Client certificate for the API, in PEM; may hold the key too [env: BARMAN_RECOVER_CERT_FILE]' -r
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l key-file -d 'Key of the client certificate, in PEM, not encrypted [env: BARMAN_RECOVER_KEY_FILE]' -r
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l ca-file -d 'Certificates to trust, in PEM, beside the system\'s (or SSL_CERT_FILE and SSL_CERT_DIR) [env: BARMAN_RECOVER_CA_FILE]' -r
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l proxy -d 'HTTP proxy to reach the API through; the environment\'s proxy variables are ignored [env: BARMAN_RECOVER_PROXY]' -r
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l retry-wait -d 'Seconds to wait before a failed request is repeated [default: 2] [env: BARMAN_RECOVER_RETRY_WAIT]' -r
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l max-retries -d 'How often a request that failed and started nothing is tried [default: 5] [env: BARMAN_RECOVER_MAX_RETRIES]' -r
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l connect-timeout -d 'Seconds to connect to the API, TLS handshake included [default: 10] [env: BARMAN_RECOVER_CONNECT_TIMEOUT]' -r
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l request-timeout -d 'Seconds until the API must have answered a question [default: 20] [env: BARMAN_RECOVER_REQUEST_TIMEOUT]' -r
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l create-timeout -d 'Seconds until the API must have answered the request that starts the operation [default: 60] [env: BARMAN_RECOVER_CREATE_TIMEOUT]' -r
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -l log-file -d 'File to log to instead of standard error [env: BARMAN_RECOVER_LOG_FILE]' -r
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -s h -l help -d 'Print help'
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -s V -l version -d 'Print version'
complete -c patroni_barman -n "__fish_patroni_barman_needs_command" -f -a "recover" -d 'Restore a Barman backup onto this node (\'barman recover\' through pg-backup-api)'
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l barman-server -d 'Name of the Barman server from which to restore (required) [env: BARMAN_RECOVER_BARMAN_SERVER]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l backup-id -d 'Backup to restore: an ID or what \'barman recover\' accepts (latest, oldest, ...) [default: latest] [env: BARMAN_RECOVER_BACKUP_ID]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l ssh-command -d 'Command with which Barman reaches this node, as its \'--remote-ssh-command\' (required) [env: BARMAN_RECOVER_SSH_COMMAND]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l data-directory -l datadir -d 'Data directory of this node: where to restore (required) [env: BARMAN_RECOVER_DATA_DIRECTORY] [alias: --datadir]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l operation-id -d 'Follow this operation instead of starting one (--ssh-command is not needed then) [env: BARMAN_RECOVER_OPERATION_ID]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l loop-wait -d 'Seconds between two looks at the operation, at most [default: 10] [env: BARMAN_RECOVER_LOOP_WAIT]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l max-outage -d 'Seconds without a good answer about a running operation until giving up (300, or max-retries x retry-wait when one of them is given) [env: BARMAN_RECOVER_MAX_OUTAGE]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l deadline -d 'Seconds for the whole run, 0 for no limit [default: 0] [env: BARMAN_RECOVER_DEADLINE]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l verify -d 'Call the recovery failed when the data directory does not hold the data afterwards (a warning otherwise) [env: BARMAN_RECOVER_VERIFY]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l state-file -d 'File that remembers the running operation (beside the data directory: DATADIR.barman-recover.json) [env: BARMAN_RECOVER_STATE_FILE]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l no-state-file -d 'Keep no state file: a run that was killed is then forgotten [env: BARMAN_RECOVER_NO_STATE_FILE]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l stall-timeout -d 'Seconds without anything new in the data directory until giving up, 0 for no limit (a warning comes after 300) [default: 0] [env: BARMAN_RECOVER_STALL_TIMEOUT]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l no-diagnose -d 'Do not ask the API for the backup\'s size (GET /diagnose, which has Barman look at all its servers): no percentage then [env: BARMAN_RECOVER_NO_DIAGNOSE]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l api-url -d 'URL of pg-backup-api, for example \'http://barman:7480\'; \'https://user:password@host/prefix\' works too (required) [env: BARMAN_RECOVER_API_URL]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l cert-file -d 'Client certificate for the API, in PEM; may hold the key too [env: BARMAN_RECOVER_CERT_FILE]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l key-file -d 'Key of the client certificate, in PEM, not encrypted [env: BARMAN_RECOVER_KEY_FILE]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l ca-file -d 'Certificates to trust, in PEM, beside the system\'s (or SSL_CERT_FILE and SSL_CERT_DIR) [env: BARMAN_RECOVER_CA_FILE]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l proxy -d 'HTTP proxy to reach the API through; the environment\'s proxy variables are ignored [env: BARMAN_RECOVER_PROXY]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l retry-wait -d 'Seconds to wait before a failed request is repeated [default: 2] [env: BARMAN_RECOVER_RETRY_WAIT]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l max-retries -d 'How often a request that failed and started nothing is tried [default: 5] [env: BARMAN_RECOVER_MAX_RETRIES]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l connect-timeout -d 'Seconds to connect to the API, TLS handshake included [default: 10] [env: BARMAN_RECOVER_CONNECT_TIMEOUT]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l request-timeout -d 'Seconds until the API must have answered a question [default: 20] [env: BARMAN_RECOVER_REQUEST_TIMEOUT]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l create-timeout -d 'Seconds until the API must have answered the request that starts the operation [default: 60] [env: BARMAN_RECOVER_CREATE_TIMEOUT]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -l log-file -d 'File to log to instead of standard error [env: BARMAN_RECOVER_LOG_FILE]' -r
complete -c patroni_barman -n "__fish_patroni_barman_using_subcommand recover" -s h -l help -d 'Print help'
