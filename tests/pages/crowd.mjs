// A busy customer: 500 instances of many kinds, so that pages show what they are like in earnest.
import { TEST, until } from './world.mjs';

const KINDS = ['t3.micro', 'm6i.large', 'c7g.xlarge', 'r6i.2xlarge', 'g5.xlarge'];
const WORK = ['web', 'build', 'perf', 'db', 'worker', 'bench'];
const WORDS = ['nightly', 'feature-search', 'release-candidate', 'customer-repro', 'load'];
const LENGTHS = [undefined, '45m', '20h', '2d', '6d'];

/** Launches them and waits until all were told. Gives one lease of lin's with a story, for pages about one. */
export async function crowd(world) {
  const many = [];
  for (let number = 0; number < 500; number += 1) {
    const length = LENGTHS[number % LENGTHS.length];
    many.push([['lin', 'max', 'ada', 'nobody-known'][number % 9 === 0 ? 3 : number % 3], `${WORK[number % WORK.length]}-${WORDS[number % WORDS.length]}-${number}`, {
      instance_type: KINDS[number % KINDS.length],
      account: number % 4 === 3 ? TEST : undefined,
      region: number % 5 === 0 ? 'eu-west-1' : undefined,
      tags: { ...(length ? { lease: length } : {}), ...(number % 40 === 0 ? { keep: 'yes' } : {}) },
    }]);
  }
  for (let at = 0; at < many.length; at += 20) {
    await Promise.all(many.slice(at, at + 20).map((one) => world.launch(...one)));
  }
  // One that runs out while we look: told, expired and stopped.
  await world.launch('lin', 'over-in-seconds', { tags: { lease: '5s' } });
  await world.told(500);
  return until('a lease that ended', async () => {
    const leases = await world.documents('lease::');
    return leases.find((lease) => lease.summary.name === 'over-in-seconds' && lease.state === 'stopped');
  }, 120);
}
