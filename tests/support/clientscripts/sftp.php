<?php
// PHP's ssh2 extension (libssh2), driven by realclients_scripted.py: HOST PORT USER PASSWORD SECURE OPERATION ARGUMENTS...
set_error_handler(function ($level, $text) { fwrite(STDERR, "$text\n"); exit(1); });
[, $host, $port, $user, $password, , $operation] = $argv;
$rest = array_slice($argv, 7);
$session = ssh2_connect($host, (int)$port);
ssh2_auth_password($session, $user, $password) or exit(1);
$sftp = ssh2_sftp($session);
$at = fn($path) => 'ssh2.sftp://' . intval($sftp) . $path;
$put = fn($local, $remote) => copy($local, $at($remote));
$operations = [
    'put' => $put,
    'get' => fn($remote, $local) => copy($at($remote), $local),
    'ls' => function ($directory) use ($at) {
        foreach (array_diff(scandir($at($directory)), ['.', '..']) as $name) echo "$name\n";
        return true;
    },
    'mv' => fn($old, $new) => ssh2_sftp_rename($sftp, $old, $new),
    'mkdir' => fn($path) => ssh2_sftp_mkdir($sftp, $path),
    'rm' => fn($path) => ssh2_sftp_unlink($sftp, $path),
    'rmdir' => fn($path) => ssh2_sftp_rmdir($sftp, $path),
    'many' => function ($directory, ...$files) use ($put) {
        foreach ($files as $file) if (!$put($file, "$directory/" . basename($file))) return false;
        return true;
    },
];
exit($operations[$operation](...$rest) ? 0 : 1);
