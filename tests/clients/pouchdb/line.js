// A device's line to the gateway, which a test cuts and restores.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Line {
  #far;
  #server;
  #sockets = new Set();

  constructor(url) {
    this.#far = new URL(url);
    this.port = 0;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  // Also again after `cut`, on the same port.
  async open() {
    this.#server = createServer((near) => {
      const far = connect(this.#far.port, this.#far.hostname);
      near.pipe(far).pipe(near);
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          this.#sockets.delete(socket);
          near.destroy();
          far.destroy();
        });
      }
    });
    this.#server.listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = this.#server.address().port;
  }

  // Connections break off, and nobody gets a new one.
  async cut() {
    const closed = once(this.#server.close(), 'close');
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await closed;
  }
}
