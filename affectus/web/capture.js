// In the audio thread: the microphone's samples as 16-bit integers, a tenth of a second at a time.

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.samples = new Int16Array(Math.round(sampleRate / 10));
    this.filled = 0;
    this.loudest = 0;
  }

  process([input]) {
    const channel = input[0];
    if (!channel) return true;
    for (const value of channel) {
      const bounded = Math.max(-1, Math.min(1, value));
      this.loudest = Math.max(this.loudest, Math.abs(bounded));
      this.samples[this.filled] = Math.round(bounded * 32767);
      this.filled += 1;
      if (this.filled === this.samples.length) {
        this.port.postMessage({ samples: this.samples.slice(), peak: this.loudest });
        this.filled = 0;
        this.loudest = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
