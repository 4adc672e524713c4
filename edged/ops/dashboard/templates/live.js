(() => {
const state = document.getElementById('state'), link = state.innerHTML, url = new URL(location);
url.searchParams.delete('ask');
let paused = false;
const say = text => {
  const on = document.createElement('button');
  on.textContent = paused ? 'Go on' : 'Pause';
  on.onclick = () => { paused = !paused; say(paused ? 'Paused. ' : ''); if (!paused) look(); };
  state.replaceChildren(text || 'Up to date by itself every 5 s. ', on);
};
const copy = () => {
  if (navigator.clipboard) for (const cmd of document.querySelectorAll('.cmd:not([data-copy])')) {
    const b = document.createElement('button');
    b.textContent = 'Copy';
    b.onclick = () => navigator.clipboard.writeText(cmd.textContent).then(() => { b.textContent = 'Copied'; });
    cmd.dataset.copy = '';
    cmd.after(' ', b);
  }
};
const look = async () => {
  try {
    const answer = await fetch(url, {cache: 'no-store'});
    if (!answer.ok) throw 0;
    const news = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const old of document.querySelectorAll('[data-live]')) {
      const fresh = news.getElementById(old.id);
      if (fresh && !old.contains(document.activeElement)) old.replaceWith(document.adoptNode(fresh));
    }
    document.title = news.title;
    say('');
  } catch { say('edged does not answer; what stands here is old. '); }
  copy();
};
setInterval(() => { if (!paused && !document.hidden) look(); }, 5000);
say('');
copy();
})();
