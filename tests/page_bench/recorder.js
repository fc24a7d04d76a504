// Runs before the page's own scripts, and keeps what the page tells about a run.
(() => {
  const recorder = { draws: [], frames: [], request: '' };
  window.pageBench = recorder;

  // The time of the frame that is being made: what requestAnimationFrame gives.
  const frameTime = () => document.timeline.currentTime;

  const everyFrame = (time) => {
    recorder.frames.push(time);
    if (recorder.end === undefined) {
      requestAnimationFrame(everyFrame);
    }
  };

  document.addEventListener('ddpm:press', () => {
    Object.assign(recorder, { press: performance.now(), draws: [], frames: [] });
    delete recorder.preview;
    delete recorder.end;
    requestAnimationFrame(everyFrame);
  });
  document.addEventListener('ddpm:first-preview', () => {
    recorder.preview ??= performance.now();
  });
  document.addEventListener('ddpm:draw', () => {
    if (recorder.end === undefined && recorder.draws.at(-1) !== frameTime()) {
      recorder.draws.push(frameTime());
    }
  });
  document.addEventListener('ddpm:end', () => {
    recorder.end ??= performance.now();
  });

  // The last request that draws samples, as it is sent.
  const send = window.fetch;
  window.fetch = (input, init) => {
    if (String(input.url ?? input).endsWith('/Generate') && init?.body instanceof Uint8Array) {
      recorder.request = [...init.body].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    }
    return send(input, init);
  };
})();
