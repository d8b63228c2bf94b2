"""The heart disease data in plain language, for the page of the demo."""

from __future__ import annotations

from typing import Any

HEART: dict[str, Any] = {
    "attributes": {"sex": "Your sex", "age_group": "Your age"},
    "levels": {"age_group": {"<60": "below 60", "60+": "60 or older"}},
    "classes": {"0": "no narrowed arteries", "1": "narrowed arteries"},
    "features": {
        "cp": "Chest pain",
        "trestbps": "Blood pressure at rest (mm Hg)",
        "chol": "Cholesterol (mg/dl)",
        "fbs": "Fasting blood sugar above 120 mg/dl (1 yes, 0 no)",
        "restecg": "ECG at rest",
        "thalach": "Highest heart rate reached",
        "exang": "Chest pain on effort (1 yes, 0 no)",
        "oldpeak": "ST depression on effort",
        "slope": "Slope of the ST segment",
        "ca": "Vessels seen by fluoroscopy (0 to 3)",
        "thal": "Thallium scan",
    },
}
