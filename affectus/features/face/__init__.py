"""Face features: who is seen in a film's frames, followed, cut out upright, and what was found.

detection.py    where faces are: OpenCV's cascade, or a YuNet model of the user's
tracking.py     one person's face through a film
crops.py        the face cut out, and how blurred it is
networks.py     face networks that the user gives as ONNX files
extractors.py   the feature sets: face_crops, face_embedding
"""

from affectus.features.face.detection import opencv_version
from affectus.features.face.extractors import FaceCrops, FaceEmbedding, Watch, find_faults

__all__ = ["FaceCrops", "FaceEmbedding", "Watch", "find_faults", "opencv_version"]
