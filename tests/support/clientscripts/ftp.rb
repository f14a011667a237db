# Ruby's net-ftp, driven by realclients_scripted.py: HOST PORT USER PASSWORD SECURE OPERATION ARGUMENTS...
require "net/ftp"

host, port, user, password, secure, operation, *rest = ARGV
options = { port: port.to_i, username: user, password: password, passive: true }
options[:ssl] = { verify_mode: OpenSSL::SSL::VERIFY_NONE } if secure == "1"
Net::FTP.open(host, **options) do |ftp|
  operations = {
    "put" => ->(local, remote) { ftp.putbinaryfile(local, remote) },
    "get" => ->(remote, local) { ftp.getbinaryfile(remote, local) },
    "ls" => ->(directory) { ftp.mlsd(directory) { |one| puts one.pathname if %w[file dir].include?(one.type) } },
    "mv" => ->(old, fresh) { ftp.rename(old, fresh) },
    "mkdir" => ->(path) { ftp.mkdir(path) },
    "rm" => ->(path) { ftp.delete(path) },
    "rmdir" => ->(path) { ftp.rmdir(path) },
    "many" => ->(directory, *files) { files.each { |file| ftp.putbinaryfile(file, "#{directory}/#{File.basename(file)}") } },
  }
  operations.fetch(operation).call(*rest)
end
