// npm's basic-ftp, driven by realclients_scripted.py: HOST PORT USER PASSWORD SECURE OPERATION ARGUMENTS...
'use strict';
const path = require('path');
const { Client } = require(process.env.NODE_CLIENTS + '/basic-ftp');
const [host, port, user, password, secure, operation, ...rest] = process.argv.slice(2);
const client = new Client();
const operations = {
  put: (local, remote) => client.uploadFrom(local, remote),
  get: (remote, local) => client.downloadTo(local, remote),
  ls: async (directory) => (await client.list(directory)).forEach((one) => console.log(one.name)),
  mv: (old, fresh) => client.rename(old, fresh),
  mkdir: (name) => client.send('MKD ' + name),
  rm: (name) => client.remove(name),
  rmdir: (name) => client.send('RMD ' + name),
  many: async (directory, ...files) => {
    for (const file of files) await client.uploadFrom(file, directory + '/' + path.basename(file));
  },
};
(async () => {
  try {
    const options = { host, port: Number(port), user, password, secure: secure === '1' };
    await client.access({ ...options, secureOptions: { rejectUnauthorized: false } });
    await operations[operation](...rest);
  } catch (error) {
    console.error(String(error));
    process.exitCode = 1;
  }
  client.close();
})();
