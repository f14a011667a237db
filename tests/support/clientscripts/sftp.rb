# Ruby's net-sftp, driven by realclients_scripted.py: HOST PORT USER PASSWORD SECURE OPERATION ARGUMENTS...
require "net/sftp"

host, port, user, password, _, operation, *rest = ARGV
options = { port: port.to_i, password: password, verify_host_key: :never, non_interactive: true, keys: [], config: false }
Net::SFTP.start(host, user, **options) do |sftp|
  operations = {
    "put" => ->(local, remote) { sftp.upload!(local, remote) },
    "get" => ->(remote, local) { sftp.download!(remote, local) },
    "ls" => ->(directory) { sftp.dir.foreach(directory) { |one| puts one.name unless %w[. ..].include?(one.name) } },
    "mv" => ->(old, fresh) { sftp.rename!(old, fresh) },
    "mkdir" => ->(path) { sftp.mkdir!(path) },
    "rm" => ->(path) { sftp.remove!(path) },
    "rmdir" => ->(path) { sftp.rmdir!(path) },
    "many" => ->(directory, *files) { files.each { |file| sftp.upload!(file, "#{directory}/#{File.basename(file)}") } },
  }
  operations.fetch(operation).call(*rest)
end
