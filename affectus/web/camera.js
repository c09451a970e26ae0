// Camera and microphone, filmed here and shown while it runs; the film is sent when it ends.

import { ServiceError } from "./api.js";

const KINDS = ["video/webm;codecs=vp8,opus", "video/webm", "video/mp4"];
const MOST = 120; // s: a sixth of a megabyte each, so well below what the service takes
const BITS = 1_000_000; // a second

const WHY = {
  NotAllowedError: "Camera and microphone were not allowed. Allow them beside the address, and try again.",
  NotFoundError: "No camera, or no microphone, was found. Plug one in, or choose a film.",
  NotReadableError: "The camera is in use by another program. Close that, and try again.",
};

export class Camera {
  #stream; #film; #audio; #parts = []; #began = 0; #settle; #ends = 0; #looks = 0;

  constructor({ onLevel, onPicture }) {
    Object.assign(this, { onLevel, onPicture });
  }

  get seconds() {
    return this.#began ? (performance.now() - this.#began) / 1000 : 0;
  }

  // Resolves when the camera runs; `done` then resolves with the film, or null if it is discarded.
  async start() {
    if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) {
      throw new ServiceError("browser", "This browser gives no camera here: it needs https or localhost.");
    }
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
        video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 }, facingMode: "user" },
      });
    } catch (error) {
      throw new ServiceError("camera", WHY[error.name] ?? "The camera could not be opened.");
    }
    this.done = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
    this.done.catch(() => {});
    const mimeType = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
    this.#film = new MediaRecorder(this.#stream, { mimeType, videoBitsPerSecond: BITS });
    this.#film.ondataavailable = ({ data }) => { if (data.size) this.#parts.push(data); };
    this.#film.onerror = () => this.#settle.reject(new ServiceError("camera", "The camera stopped. Try again."));
    this.#film.onstop = () => {
      this.#release();
      const type = this.#film.mimeType.split(";")[0];
      this.#settle.resolve(new Blob(this.#parts, { type }));
    };
    this.onPicture(this.#stream);
    this.#listen();
    this.#film.start();
    this.#began = performance.now();
    this.#ends = setTimeout(() => this.stop(), 1000 * MOST);
  }

  stop() {
    if (this.#film.state !== "inactive") this.#film.stop();
  }

  // The camera is let go of at once: what its recorder still says is not waited for.
  discard() {
    this.#film.ondataavailable = this.#film.onstop = null;
    this.#parts = [];
    this.stop();
    this.#release();
    this.#settle.resolve(null);
  }

  #listen() {
    this.#audio = new AudioContext();
    const heard = this.#audio.createAnalyser();
    this.#audio.createMediaStreamSource(this.#stream).connect(heard);
    const samples = new Float32Array(heard.fftSize);
    this.#looks = setInterval(() => {
      heard.getFloatTimeDomainData(samples);
      const peak = samples.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      this.onLevel(peak > 0 ? Math.max(-60, 20 * Math.log10(peak)) : -60);
    }, 100);
  }

  #release() {
    clearTimeout(this.#ends);
    clearInterval(this.#looks);
    this.#stream.getTracks().forEach((track) => track.stop());
    if (this.#audio && this.#audio.state !== "closed") this.#audio.close();
    this.onPicture(null);
  }
}
